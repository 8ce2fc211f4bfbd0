// From a tagger's scores to a caption: which tags, how they are written, in which order, and how
// they join a caption that is already there. Not here: pictures and the model (tagger.h).
// Threads  const members may be called from many threads.
// Source   options and rules of sd-scripts' finetune/tag_images_by_wd14_tagger.py and of the
//          WD14 tagger extension (requirement M198); docs/tagging.md says where the two differ.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/tagger_list.h"

namespace lora::tools {

enum class TagOrder : uint8_t { kScore, kAlphabet, kModel };
enum class RatingPlace : uint8_t { kNone, kFirst, kLast };
enum class OnConflict : uint8_t {
    kIgnore,   // pictures with a caption are left out
    kReplace,  // the caption goes
    kAppend,
    kPrepend,
};

struct TagChoiceOptions {
    double general_threshold = 0.35;
    double character_threshold = 0.35;
    double rating_threshold = 0;  // of the one rating that is highest
    bool spaces = true;           // for underscores
    bool escape_brackets = false;
    bool expand_characters = false;  // name_(series) becomes name and series
    TagOrder order = TagOrder::kScore;
    bool characters_first = false;
    RatingPlace rating = RatingPlace::kNone;
    bool with_scores = false;  // (tag:0.873)
    bool dedupe = true;
    std::vector<std::string> exclude = {};           // as TagPattern takes them
    std::vector<std::string> keep_underscores = {};  // as tags up to 3 letters do anyway
    std::vector<std::pair<std::string, std::string>> replace = {};
    std::vector<std::string> always_first = {};  // when they are chosen at all
    std::vector<std::string> add = {};           // in front of the caption
    std::string separator = ", ";
};

struct ChosenTag {
    std::string text;
    float score = 0;
    TaggerCategory category = TaggerCategory::kGeneral;
};

class TagChooser {
public:
    TagChooser(std::vector<TaggerTag> tags, TagChoiceOptions options);

    // `scores`: one for each tag. In the order in which they are written, without `add`.
    [[nodiscard]] std::vector<ChosenTag> choose(std::span<const float> scores) const;

    // The caption file's text: `add` and `trigger` (may be empty) first, then the chosen tags
    // before, behind or instead of the first line of `before`; its further lines stay.
    [[nodiscard]] std::string caption(const std::vector<ChosenTag>& chosen,
                                      std::string_view trigger,
                                      std::string_view before,
                                      OnConflict conflict) const;

    [[nodiscard]] const std::vector<TaggerTag>& tags() const { return tags_; }

private:
    [[nodiscard]] float threshold_of(TaggerCategory category) const;
    [[nodiscard]] std::vector<std::string> split_caption(std::string_view line) const;
    void add_chosen(size_t place, float score, std::vector<ChosenTag>& out) const;

    std::vector<TaggerTag> tags_;
    TagChoiceOptions options_;
    std::vector<std::vector<std::string>> texts_;  // how each tag is written; empty: excluded
};

// source1,target1;source2,target2 with \, and \; for the letters themselves, as sd-scripts has it.
// Errors  kConfig.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> read_tag_replacement(
    std::string_view text);

}  // namespace lora::tools
