// Does the base model understand the tags of the captions? For each tag some pictures that have it
// are noised, and the model's loss is asked with their captions and with the tag taken out of them:
// a model that knows the tag does better with it. Nothing is trained. Not which tags exist at all
// (tools/tag_classes.h), not what a LoRA did to tags (tools/interrogate.h).
// Threads  pure, but for TrainingRun::check_tags, which asks.
// Source   requirements M104; the same noise and timesteps for both captions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/epoch_plan.h"

namespace lora::train {

// A tag and the training pictures whose captions name it (regularisation pictures left out).
struct TagUse {
    std::string tag;
    std::vector<int64_t> images;  // into the data set, in its order
};
// The most frequent first, then by name. `run`: caption options of folders without their own.
[[nodiscard]] std::vector<TagUse> tags_of(const data::Dataset& dataset,
                                          const data::CaptionOptions& run);

// The caption with every occurrence of the tag gone; tags are split at `separator` and stripped.
[[nodiscard]] std::string without_tag(std::string_view caption,
                                      std::string_view tag,
                                      std::string_view separator);

struct TagKnowledge {
    std::string tag;
    int64_t num_images = 0;
    double gain = 0;   // share of the loss that the tag saves, mean of the questions
    double error = 0;  // its standard error
    // Beyond chance, and enough to matter.
    [[nodiscard]] bool is_known() const { return gain > kLeastGain && gain > 2 * error; }

    static constexpr double kLeastGain = 0.003;
};
// From losses of the same questions, which belong together in order.
[[nodiscard]] TagKnowledge judge_tag(const TagUse& use,
                                     std::span<const double> with_tag,
                                     std::span<const double> without);

}  // namespace lora::train
