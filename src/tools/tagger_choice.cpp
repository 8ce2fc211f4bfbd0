#include "tools/tagger_choice.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"
#include "base/words.h"
#include "text/unicode.h"
#include "tools/caption_tags.h"

namespace lora::tools {
namespace {

// "name_(costume)_(series)" to "name_(costume)" and "series".
std::vector<std::string> expanded(const std::string& name) {
    const size_t bracket = name.rfind('(');
    if (!name.ends_with(')') || bracket == std::string::npos) return {name};
    std::string_view front(name.data(), bracket);
    if (front.ends_with('_')) front.remove_suffix(1);
    std::string series = name.substr(bracket + 1);
    std::erase(series, ')');
    std::vector<std::string> out;
    for (const std::string_view part : {front, std::string_view(series)}) {
        if (!part.empty()) out.emplace_back(part);
    }
    return out;
}

// Faces such as >_< are no words.
std::string with_spaces(std::string name, const TagChoiceOptions& options) {
    const auto& kept = options.keep_underscores;
    const bool is_short = utf8_to_utf32(name).size() <= 3;
    if (!is_short && std::find(kept.begin(), kept.end(), name) == kept.end()) {
        std::replace(name.begin(), name.end(), '_', ' ');
    }
    return name;
}

std::vector<std::string> written(const TaggerTag& tag,
                                 const TagChoiceOptions& options,
                                 const std::vector<TagPattern>& excluded) {
    std::vector<std::string> names = {tag.name};
    if (options.expand_characters && tag.category == TaggerCategory::kCharacter) {
        names = expanded(tag.name);
    }
    std::vector<std::string> out;
    for (std::string& name : names) {
        std::string text = options.spaces ? with_spaces(std::move(name), options) : name;
        for (const auto& [from, to] : options.replace) {
            if (plain_tag(text) == plain_tag(from)) {
                text = to;
                break;
            }
        }
        const std::string plain = plain_tag(text);
        const bool goes =
            text.empty() || std::any_of(excluded.begin(), excluded.end(), [&](const auto& pattern) {
                return pattern.fits(plain);
            });
        if (goes) continue;
        out.push_back(options.escape_brackets ? escape_brackets(text) : text);
    }
    return out;
}

std::string joined(const std::vector<std::string>& tags, const std::string& separator) {
    std::string out;
    for (const std::string& tag : tags) {
        if (&tag != &tags.front()) out += separator;
        out += tag;
    }
    return out;
}

}  // namespace

TagChooser::TagChooser(std::vector<TaggerTag> tags, TagChoiceOptions options)
    : tags_(std::move(tags)), options_(std::move(options)) {
    std::vector<TagPattern> excluded;
    for (const std::string& word : options_.exclude) excluded.emplace_back(word);
    texts_.reserve(tags_.size());
    for (const TaggerTag& tag : tags_) texts_.push_back(written(tag, options_, excluded));
}

// In the precision of scores, so that 0.35 reaches 0.35.
float TagChooser::threshold_of(TaggerCategory category) const {
    return static_cast<float>(category == TaggerCategory::kCharacter ? options_.character_threshold
                                                                     : options_.general_threshold);
}

void TagChooser::add_chosen(size_t place, float score, std::vector<ChosenTag>& out) const {
    for (const std::string& text : texts_[place]) {
        out.push_back({text, score, tags_[place].category});
    }
}

std::vector<ChosenTag> TagChooser::choose(std::span<const float> scores) const {
    LORA_CHECK(scores.size() == tags_.size(), "a score for each tag");
    std::vector<ChosenTag> out;
    std::vector<ChosenTag> rating;
    size_t best = tags_.size();
    for (size_t i = 0; i < tags_.size(); ++i) {
        if (tags_[i].category == TaggerCategory::kRating) {
            if (best == tags_.size() || scores[i] > scores[best]) best = i;
        } else if (scores[i] >= threshold_of(tags_[i].category)) {
            add_chosen(i, scores[i], out);
        }
    }
    if (options_.order == TagOrder::kScore) {
        std::stable_sort(out.begin(), out.end(), [](const ChosenTag& a, const ChosenTag& b) {
            return a.score > b.score;
        });
    } else if (options_.order == TagOrder::kAlphabet) {
        std::stable_sort(out.begin(), out.end(), [](const ChosenTag& a, const ChosenTag& b) {
            return a.text < b.text;
        });
    }
    if (options_.characters_first) {
        std::stable_partition(out.begin(), out.end(), [](const ChosenTag& tag) {
            return tag.category == TaggerCategory::kCharacter;
        });
    }
    if (options_.rating != RatingPlace::kNone && best < tags_.size() &&
        scores[best] >= static_cast<float>(options_.rating_threshold)) {
        add_chosen(best, scores[best], rating);
        const bool is_first = options_.rating == RatingPlace::kFirst;
        out.insert(is_first ? out.begin() : out.end(), rating.begin(), rating.end());
    }
    // Backwards, so that they stand in the order in which they were named.
    for (auto word = options_.always_first.rbegin(); word != options_.always_first.rend(); ++word) {
        std::stable_partition(out.begin(), out.end(), [&](const ChosenTag& tag) {
            return plain_tag(tag.text) == plain_tag(*word);
        });
    }
    return out;
}

std::vector<std::string> TagChooser::split_caption(std::string_view line) const {
    const std::string_view mark = text::strip(options_.separator);
    if (mark.empty() || mark == ",") return split_tags(line);
    std::vector<std::string> out;
    for (;;) {
        const size_t end = std::min(line.find(mark), line.size());
        const std::string_view piece = text::strip(line.substr(0, end));
        if (!piece.empty()) out.emplace_back(piece);
        if (end == line.size()) return out;
        line.remove_prefix(end + mark.size());
    }
}

std::string TagChooser::caption(const std::vector<ChosenTag>& chosen,
                                std::string_view trigger,
                                std::string_view before,
                                OnConflict conflict) const {
    // Doubles are found by the tags' own texts; scores are written last.
    std::vector<std::pair<std::string, std::string>> parts;  // tag, as written
    parts.reserve(chosen.size());
    for (const ChosenTag& tag : chosen) {
        parts.emplace_back(
            tag.text,
            options_.with_scores ? fmt::format("({}:{:.3f})", tag.text, tag.score) : tag.text);
    }
    const bool joins = conflict == OnConflict::kAppend || conflict == OnConflict::kPrepend;
    const size_t line_end = joins ? first_line(before).size() : 0;
    if (joins) {
        std::vector<std::pair<std::string, std::string>> old;
        for (const std::string& tag : split_caption(before.substr(0, line_end))) {
            old.emplace_back(tag, tag);
        }
        parts.insert(
            conflict == OnConflict::kAppend ? parts.begin() : parts.end(), old.begin(), old.end());
    }
    std::vector<std::pair<std::string, std::string>> front;
    if (!trigger.empty()) front.emplace_back(trigger, trigger);
    for (const std::string& tag : options_.add) front.emplace_back(tag, tag);
    // What stands in front stands there once, whether other doubles stay or not.
    std::set<std::string> seen;
    std::vector<std::string> out;
    for (const auto& [tag, text] : front) {
        if (seen.insert(plain_tag(tag)).second) out.push_back(text);
    }
    for (const auto& [tag, text] : parts) {
        const bool is_double = seen.contains(plain_tag(tag));
        if (is_double) continue;
        if (options_.dedupe) seen.insert(plain_tag(tag));
        out.push_back(text);
    }
    std::string caption = joined(out, options_.separator);
    caption += line_end < before.size() && joins ? std::string(before.substr(line_end)) : "\n";
    return caption;
}

std::vector<std::pair<std::string, std::string>> read_tag_replacement(std::string_view text) {
    std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
    for (size_t i = 0; i < text.size(); ++i) {
        const bool is_escaped =
            text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == ';');
        if (is_escaped) {
            rows.back().back() += text[++i];
        } else if (text[i] == ';') {
            rows.emplace_back(1);
        } else if (text[i] == ',') {
            rows.back().emplace_back();
        } else {
            rows.back().back() += text[i];
        }
    }
    std::vector<std::pair<std::string, std::string>> out;
    for (const std::vector<std::string>& row : rows) {
        if (row.size() == 1 && text::strip(row.front()).empty()) continue;
        if (row.size() != 2 || text::strip(row.front()).empty()) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("tag_replacement: {} is no pair", fmt::join(row, ",")))
                .with_hint("write old,new;old,new with \\, and \\; for those letters themselves");
        }
        out.emplace_back(text::strip(row[0]), text::strip(row[1]));
    }
    return out;
}

}  // namespace lora::tools
