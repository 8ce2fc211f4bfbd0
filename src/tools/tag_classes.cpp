#include "tools/tag_classes.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"
#include "text/unicode.h"
#include "tools/internal/tag_table.h"

namespace lora::tools {
namespace {

constexpr std::array<std::string_view, 9> kNames = {"traits",
                                                    "clothing",
                                                    "count",
                                                    "action",
                                                    "view",
                                                    "expression",
                                                    "background",
                                                    "picture",
                                                    "other"};

using WordSet = std::set<std::string_view>;

WordSet word_set(std::initializer_list<std::string_view> lists) {
    WordSet out;
    for (const std::string_view list : lists) {
        for (const std::string_view word : split(list, ',')) out.insert(word);
    }
    return out;
}

// The words in front of the last one.
struct Taken {
    std::vector<std::string_view> front;
    std::string_view last;
};

Taken take_apart(std::string_view tag) {
    Taken out;
    out.front = split(tag, ' ');
    out.last = out.front.back();
    out.front.pop_back();
    return out;
}

bool all_in(const std::vector<std::string_view>& words, const WordSet& set) {
    return !words.empty() && std::all_of(words.begin(), words.end(), [&](std::string_view word) {
        return set.contains(word);
    });
}

bool none_in(const std::vector<std::string_view>& words, const WordSet& set) {
    return std::none_of(
        words.begin(), words.end(), [&](std::string_view word) { return set.contains(word); });
}

// "1girl", "6+girls".
bool is_count(std::string_view tag) {
    size_t at = 0;
    while (at < tag.size() && tag[at] >= '0' && tag[at] <= '9') ++at;
    if (at == 0) return false;
    if (at < tag.size() && tag[at] == '+') ++at;
    const std::string_view rest = trimmed(tag.substr(at));
    for (const char* word : {"girl", "girls", "boy", "boys", "other", "others"}) {
        if (rest == word) return true;
    }
    return false;
}

bool is_emoticon(std::string_view tag) {
    if (tag.size() < 2 || tag.size() > 4) return false;
    const auto marks = std::count_if(tag.begin(), tag.end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x80 && std::ispunct(static_cast<unsigned char>(c));
    });
    return marks >= 1 && std::count(tag.begin(), tag.end(), ' ') == 0 && tag.front() != '(';
}

// Hair, eyes and body: the last word names the part, the words in front must all be known.
bool is_trait(const Taken& taken) {
    using namespace internal;
    static const WordSet kHair = word_set({colours(), hair_words()});
    static const WordSet kColours = word_set({colours()});
    static const WordSet kSkin = word_set({colours(), "very,tan,tanned,fair"});
    static const WordSet kBreasts = word_set({breast_words()});
    static const WordSet kAnimals = word_set({animals(), colours()});
    static const WordSet kBrows = word_set({colours(), "thick,thin,very,huge,short,long"});
    static const WordSet kStyles = word_set({hair_styles()});
    static const WordSet kGuards = word_set({garment_guards()});
    const auto& [front, last] = taken;
    if (last == "hair") return all_in(front, kHair);
    for (const char* part : {"eyes", "eye", "pupils", "sclera", "irises"}) {
        if (last == part) return all_in(front, kColours);
    }
    if (last == "skin") return all_in(front, kSkin);
    if (last == "breasts") return all_in(front, kBreasts);
    if (last == "eyebrows") return all_in(front, kBrows);
    for (const char* part : {"ears", "tail", "tails", "horns", "wings"}) {
        if (last == part) return all_in(front, kAnimals);
    }
    return kStyles.contains(last) && none_in(front, kGuards);
}

bool is_garment(const Taken& taken) {
    static const WordSet kGarments = word_set({internal::garments()});
    static const WordSet kGuards = word_set({internal::garment_guards()});
    static const WordSet kAdorned =
        word_set({"hair,ear,horn,tail,head,thigh,leg,waist,hat,chest,neck,arm,wing"});
    const auto& [front, last] = taken;
    if (!front.empty() && front.front() == "fake") return true;
    if (last == "ornament") return !front.empty() && kAdorned.contains(front.back());
    return kGarments.contains(last) && none_in(front, kGuards);
}

std::optional<TagClass> by_rule(std::string_view tag) {
    if (is_count(tag)) return TagClass::kCount;
    if (is_emoticon(tag)) return TagClass::kExpression;
    for (const char* start : {"holding ",
                              "hand on ",
                              "hands on ",
                              "hand in ",
                              "hands in ",
                              "adjusting ",
                              "playing with ",
                              "sitting on ",
                              "standing on ",
                              "lying on ",
                              "leaning on ",
                              "arms ",
                              "arm around ",
                              "covering "}) {
        if (tag.starts_with(start)) return TagClass::kAction;
    }
    if (tag.starts_with("looking ") || tag.starts_with("facing ")) return TagClass::kView;
    const Taken taken = take_apart(tag);
    if (is_trait(taken)) return TagClass::kTraits;
    if (is_garment(taken)) return TagClass::kClothing;
    if (taken.front.empty()) return std::nullopt;
    for (const char* end : {"background", "sky", "scenery", "interior"}) {
        if (taken.last == end) return TagClass::kBackground;
    }
    if (taken.last == "focus") return TagClass::kPicture;
    if (taken.last == "username") return TagClass::kPicture;
    return std::nullopt;
}

}  // namespace

std::string_view tag_class_name(TagClass tag_class) {
    return kNames.at(static_cast<size_t>(tag_class));
}

std::optional<TagClass> tag_class_from_name(std::string_view name) {
    const auto found = std::find(kNames.begin(), kNames.end(), name);
    if (found == kNames.end()) return std::nullopt;
    return static_cast<TagClass>(found - kNames.begin());
}

std::string plain_tag(std::string_view tag) {
    const std::string lower = text::lower_utf8(text::strip(tag));
    // The underscores of ^_^ and the like are no blanks.
    const bool has_word = std::count_if(lower.begin(), lower.end(), [](char c) {
                              return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
                                     static_cast<unsigned char>(c) >= 0x80;
                          }) >= 3;
    std::string out;
    for (size_t i = 0; i < lower.size(); ++i) {
        char c = lower[i];
        if (c == '\\' && i + 1 < lower.size() && (lower[i + 1] == '(' || lower[i + 1] == ')')) {
            continue;
        }
        if (c == '_' && has_word) c = ' ';
        if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
        out += c;
    }
    while (out.ends_with(' ')) out.pop_back();
    return out;
}

TagClasses::TagClasses() {
    for (const internal::TagList& list : internal::tag_table()) {
        for (const std::string_view tag : split(list.tags, ',')) {
            table_.emplace(std::string(tag), list.tag_class);
        }
    }
    for (const auto& [tag, tag_class] : table_) {
        for (const std::string_view word : split(tag, ' ')) words_.emplace(word);
        near_.add(tag);
    }
    for (const std::string_view list : {internal::colours(),
                                        internal::hair_words(),
                                        internal::breast_words(),
                                        internal::animals(),
                                        internal::hair_styles(),
                                        internal::garments()}) {
        for (const std::string_view word : split(list, ',')) {
            words_.emplace(word);
        }
    }
}

TagPattern::TagPattern(std::string_view text) {
    open_front_ = text.size() > 1 && text.starts_with('*');
    if (open_front_) text.remove_prefix(1);
    open_back_ = text.size() > 1 && text.ends_with('*');
    if (open_back_) text.remove_suffix(1);
    text_ = plain_tag(text);
}

bool TagPattern::fits(std::string_view plain) const {
    if (open_front_ && open_back_) return plain.find(text_) != std::string_view::npos;
    if (open_front_) return plain.ends_with(text_);
    if (open_back_) return plain.starts_with(text_);
    return plain == text_;
}

void TagClasses::add_user_rules(std::string_view text, const std::string& what) {
    std::vector<UserRule> rules;
    int64_t line_number = 0;
    for (const std::string_view raw : split(text, '\n')) {
        ++line_number;
        const std::string_view line = trimmed(raw);
        if (line.empty() || line.front() == '#') continue;
        const size_t at = line.rfind('=');
        const auto tag_class = at == std::string_view::npos
                                   ? std::nullopt
                                   : tag_class_from_name(lower_ascii(trimmed(line.substr(at + 1))));
        const std::string_view tag = trimmed(line.substr(0, std::min(at, line.size())));
        TagPattern pattern(tag);
        const bool fits_all = tag == "*" || tag == "**";
        if (!tag_class || fits_all || pattern.text().empty()) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("line {} of {} is no rule: {}", line_number, what, line))
                .with_hint(fmt::format("write tag = class, with one of {}",
                                       fmt::join(kNames.begin(), kNames.end(), ", ")));
        }
        rules.push_back({std::move(pattern), *tag_class});
    }
    // The last line that fits decides.
    std::reverse(rules.begin(), rules.end());
    user_rules_.insert(user_rules_.begin(), rules.begin(), rules.end());
}

std::optional<TagClass> TagClasses::find(const std::string& tag) const {
    for (const UserRule& rule : user_rules_) {
        if (rule.pattern.fits(tag)) return rule.tag_class;
    }
    if (tag.empty()) return std::nullopt;
    if (const auto row = table_.find(tag); row != table_.end()) return row->second;
    return by_rule(tag);
}

TagClass TagClasses::class_of(std::string_view tag) const {
    return find(plain_tag(tag)).value_or(TagClass::kOther);
}

bool TagClasses::knows(std::string_view tag) const { return find(plain_tag(tag)).has_value(); }

std::string TagClasses::nearest(std::string_view tag) const {
    const std::string wanted = plain_tag(tag);
    if (wanted.size() < 4) return {};
    const int limit = wanted.size() < 8 ? 1 : 2;
    std::string best;
    int best_distance = limit + 1;
    for (const auto& [number, distance] : near_.within(wanted, limit)) {
        if (distance == 0) return {};
        const std::string& known = near_.word(number);
        if (distance < best_distance || (distance == best_distance && known < best)) {
            best = known;
            best_distance = distance;
        }
    }
    return best;
}

bool TagClasses::knows_words(std::string_view tag) const {
    const std::string plain = plain_tag(tag);  // the words lie in it
    for (const std::string_view word : split(plain, ' ')) {
        if (!words_.contains(std::string(word))) return false;
    }
    return true;
}

}  // namespace lora::tools
