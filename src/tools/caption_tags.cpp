#include "tools/caption_tags.h"

#include <algorithm>
#include <set>

#include "base/words.h"
#include "text/unicode.h"

namespace lora::tools {
namespace {

bool same_tag(std::string_view a, std::string_view b) { return plain_tag(a) == plain_tag(b); }

bool fits_any(std::string_view tag, const std::vector<std::string>& patterns) {
    const std::string plain = plain_tag(tag);
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
        return TagPattern(pattern).fits(plain);
    });
}

// Whether the policy deletes the tag: only ever traits and clothing.
bool goes(std::string_view tag, const TagEdits& edits, const TagClasses& classes) {
    if (fits_any(tag, edits.add) || fits_any(tag, edits.whitelist)) return false;
    const TagClass tag_class = classes.class_of(tag);
    if (*edits.policy == TagPolicy::kNoTraits) {
        return tag_class == TagClass::kTraits ||
               (edits.drop_clothing && tag_class == TagClass::kClothing);
    }
    return *edits.policy == TagPolicy::kWhitelist &&
           (tag_class == TagClass::kTraits || tag_class == TagClass::kClothing);
}

void drop_doubles(std::vector<std::string>& tags) {
    std::set<std::string> seen;
    std::erase_if(tags,
                  [&](const std::string& tag) { return !seen.insert(plain_tag(tag)).second; });
}

void rename_tags(std::vector<std::string>& tags, const TagEdits& edits) {
    for (const TagRename& rename : edits.replace) {
        for (std::string& tag : tags) {
            if (same_tag(tag, rename.from)) tag = rename.to;
        }
    }
    std::erase_if(tags, [](const std::string& tag) { return tag.empty(); });
    if (edits.rename_first && !tags.empty() && same_tag(tags.front(), edits.rename_first->from)) {
        tags.front() = edits.rename_first->to;
    }
}

}  // namespace

std::vector<std::string> split_tags(std::string_view caption) {
    std::vector<std::string> out;
    for (const std::string_view piece : split(caption, ',')) {
        const std::string_view tag = text::strip(piece);
        if (!tag.empty()) out.emplace_back(tag);
    }
    return out;
}

std::string_view first_line(std::string_view text) {
    return text.substr(0, text.find_first_of("\r\n"));
}

std::string join_tags(const std::vector<std::string>& tags) {
    std::string out;
    for (const std::string& tag : tags) {
        if (!out.empty()) out += ", ";
        out += tag;
    }
    return out;
}

std::optional<TagPolicy> tag_policy_from_name(std::string_view name) {
    if (name == "full") return TagPolicy::kFull;
    if (name == "no_traits") return TagPolicy::kNoTraits;
    if (name == "whitelist") return TagPolicy::kWhitelist;
    if (name == "none") return TagPolicy::kNone;
    return std::nullopt;
}

bool needs_keep_tokens(TagPolicy policy) {
    return policy == TagPolicy::kNoTraits || policy == TagPolicy::kWhitelist;
}

bool TagEdits::empty() const {
    return replace.empty() && !rename_first && remove.empty() && !policy && !sort && add.empty() &&
           !dedupe && !escape_brackets;
}

std::string escape_brackets(std::string_view tag) {
    std::string out;
    for (size_t i = 0; i < tag.size(); ++i) {
        const bool bracket = tag[i] == '(' || tag[i] == ')';
        if (bracket && (i == 0 || tag[i - 1] != '\\')) out += '\\';
        out += tag[i];
    }
    return out;
}

std::vector<std::string> apply_edits(std::vector<std::string> tags,
                                     const TagEdits& edits,
                                     const TagClasses& classes) {
    if (edits.policy == TagPolicy::kNone) return {};
    rename_tags(tags, edits);
    std::erase_if(tags, [&](const std::string& tag) { return fits_any(tag, edits.remove); });
    if (edits.policy) {
        // The first tag is the trigger where a policy deletes: it stays whatever it is called.
        const bool named = !edits.add.empty();
        size_t place = 0;
        std::erase_if(tags, [&](const std::string& tag) {
            const bool is_trigger = place++ == 0 && !named && !classes.knows(tag);
            return !is_trigger && goes(tag, edits, classes);
        });
    }
    if (edits.sort && !tags.empty()) {
        std::stable_sort(
            tags.begin() + 1, tags.end(), [](const std::string& a, const std::string& b) {
                return plain_tag(a) < plain_tag(b);
            });
    }
    if (!edits.add.empty()) {
        std::erase_if(tags, [&](const std::string& tag) {
            return std::any_of(edits.add.begin(), edits.add.end(), [&](const std::string& added) {
                return same_tag(tag, added);
            });
        });
        tags.insert(tags.begin(), edits.add.begin(), edits.add.end());
    }
    if (edits.dedupe) drop_doubles(tags);
    if (edits.escape_brackets) {
        for (std::string& tag : tags) tag = escape_brackets(tag);
    }
    return tags;
}

void TagStatistics::add(const std::vector<std::string>& tags) {
    ++captions_;
    std::set<std::string> unique;
    for (const std::string& tag : tags) unique.insert(plain_tag(tag));
    for (auto a = unique.begin(); a != unique.end(); ++a) {
        ++counts_[*a];
        for (auto b = std::next(a); b != unique.end(); ++b) ++pairs_[{*a, *b}];
    }
}

std::vector<TagStatistics::Row> TagStatistics::rows(size_t num_companions) const {
    std::map<std::string, std::vector<std::pair<std::string, int64_t>>> with;
    for (const auto& [pair, count] : pairs_) {
        with[pair.first].emplace_back(pair.second, count);
        with[pair.second].emplace_back(pair.first, count);
    }
    std::vector<Row> out;
    for (const auto& [tag, count] : counts_) {
        auto& companions = with[tag];
        std::stable_sort(companions.begin(), companions.end(), [](const auto& a, const auto& b) {
            return a.second > b.second;
        });
        if (companions.size() > num_companions) companions.resize(num_companions);
        out.push_back({tag, count, std::move(companions)});
    }
    std::stable_sort(
        out.begin(), out.end(), [](const Row& a, const Row& b) { return a.count > b.count; });
    return out;
}

}  // namespace lora::tools
