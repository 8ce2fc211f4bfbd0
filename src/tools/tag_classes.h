// What kind of thing a tag names, in the guide's classes. Only traits, and by choice clothing, may
// ever be deleted from captions; whatever no table and no rule knows is kOther and stays.
// Not here: captions and what a policy does with the classes (caption_tags.h).
// Threads  const members may be called from many threads.
// Source   the guide's chapter on deleting tags (requirements M164 to M172); names of tags as the
//          WD14 taggers write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tools/near_words.h"

namespace lora::tools {

enum class TagClass : uint8_t {
    kTraits,    // hair, eyes, body
    kClothing,  // what is worn
    kCount,
    kAction,
    kView,
    kExpression,
    kBackground,
    kPicture,  // kind of picture
    kOther,    // everything else, known or not
};

[[nodiscard]] std::string_view tag_class_name(TagClass tag_class);
[[nodiscard]] std::optional<TagClass> tag_class_from_name(std::string_view name);

// Lower case, spaces for underscores, no backslash before brackets, single blanks.
[[nodiscard]] std::string plain_tag(std::string_view tag);

// A tag with `*` at one or both ends for anything; a lone `*` is a tag as any other.
class TagPattern {
public:
    explicit TagPattern(std::string_view text);
    // The tag as plain_tag() writes it.
    [[nodiscard]] bool fits(std::string_view plain) const;
    [[nodiscard]] const std::string& text() const { return text_; }  // without the stars

private:
    std::string text_;
    bool open_front_ = false;
    bool open_back_ = false;
};

class TagClasses {
public:
    TagClasses();

    // Lines `tag = class`; `*` at one end of the tag stands for anything; # begins a comment. Later
    // lines and lines of this text go before the built-in table.
    // Errors  kFormat naming `what` and the line.
    void add_user_rules(std::string_view text, const std::string& what);

    [[nodiscard]] TagClass class_of(std::string_view tag) const;
    // Whether the table or a rule knows the tag.
    [[nodiscard]] bool knows(std::string_view tag) const;
    // The tag of the table nearest to a misspelt one; empty when none is near.
    [[nodiscard]] std::string nearest(std::string_view tag) const;
    // Whether every word is one that the tags of the table are made of.
    [[nodiscard]] bool knows_words(std::string_view tag) const;

private:
    struct UserRule {
        TagPattern pattern;
        TagClass tag_class = TagClass::kOther;
    };
    [[nodiscard]] std::optional<TagClass> find(const std::string& tag) const;

    std::unordered_map<std::string, TagClass> table_;
    std::unordered_set<std::string> words_;
    NearWords near_;  // those of the table
    std::vector<UserRule> user_rules_;
};

}  // namespace lora::tools
