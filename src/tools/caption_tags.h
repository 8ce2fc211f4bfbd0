// A caption as a list of tags, and what `lora tags` does to such a list: put in front, remove,
// replace, rename a trigger, drop doubles, sort, escape brackets, apply a policy.
// Not here: files (file_changes.h). Tags are compared as plain_tag() writes them; what is not
// changed stays as it was written.
// Threads  pure.
// Source   the guide's four strategies (requirements M156 to M172, M195, M196).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/tag_classes.h"

namespace lora::tools {

// Trimmed pieces between commas, empty ones left out. Commas inside brackets part as well, as they
// do in training.
[[nodiscard]] std::vector<std::string> split_tags(std::string_view caption);
// What is trained of a caption file; further lines are kept as they are.
[[nodiscard]] std::string_view first_line(std::string_view text);
[[nodiscard]] std::string join_tags(const std::vector<std::string>& tags);

enum class TagPolicy : uint8_t {
    kFull,       // every tag stays, the trigger comes first
    kNoTraits,   // traits go
    kWhitelist,  // traits and clothing go, but for the words of the user's own list
    kNone,       // no caption at all: the folder's concept is trained
};
[[nodiscard]] std::optional<TagPolicy> tag_policy_from_name(std::string_view name);
// keep_tokens must be at least 1 in training, or the trigger is shuffled away (M161).
[[nodiscard]] bool needs_keep_tokens(TagPolicy policy);

struct TagRename {
    std::string from;
    std::string to;
};

// In the order in which they happen.
struct TagEdits {
    std::vector<TagRename> replace;         // an empty `to` removes
    std::optional<TagRename> rename_first;  // the trigger: the first tag alone; brackets survive
    std::vector<std::string> remove;        // `*` at one end stands for anything
    std::optional<TagPolicy> policy;
    bool drop_clothing = false;          // with kNoTraits: clothing too
    std::vector<std::string> whitelist;  // stay whatever their class
    bool sort = false;                   // by letters, behind the first tag
    std::vector<std::string> add;  // in front, in this order; moved there when already present
    bool dedupe = false;
    bool escape_brackets = false;
    [[nodiscard]] bool empty() const;
};

// With TagPolicy::kNone the result is empty.
[[nodiscard]] std::vector<std::string> apply_edits(std::vector<std::string> tags,
                                                   const TagEdits& edits,
                                                   const TagClasses& classes);

// "king george v (uniform)" to "king george v \(uniform\)"; what is escaped stays.
[[nodiscard]] std::string escape_brackets(std::string_view tag);

// Counts over captions; a tag is counted once a caption.
class TagStatistics {
public:
    void add(const std::vector<std::string>& tags);
    [[nodiscard]] int64_t num_captions() const { return captions_; }

    struct Row {
        std::string tag;
        int64_t count = 0;
        std::vector<std::pair<std::string, int64_t>> with;  // most frequent companions first
    };
    // Most frequent first; `num_companions` of `with` at most.
    [[nodiscard]] std::vector<Row> rows(size_t num_companions) const;

private:
    int64_t captions_ = 0;
    std::map<std::string, int64_t> counts_;
    std::map<std::pair<std::string, std::string>, int64_t> pairs_;
};

}  // namespace lora::tools
