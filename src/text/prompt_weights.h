// Weights in prompts: (word) counts 1.1 times, [word] 1/1.1 times, (word:1.3) 1.3 times; a
// backslash takes a bracket literally. Brackets nest; those that stay open reach to the end. Not
// the tokenizer (clip_tokenizer.h), not what a weight does (train/image_sampler.h). Threads  pure.
// Source: AUTOMATIC1111's prompt syntax, as sd-scripts samples with it (semantics 10.4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/clip_tokenizer.h"

namespace lora::text {

struct WeightedText {
    std::string text;
    double weight = 1;
};
// Neighbours of one weight are joined. Never fails.
[[nodiscard]] std::vector<WeightedText> parse_prompt_weights(std::string_view prompt);

struct WeightedTokens {
    std::vector<int32_t> ids;    // without begin and end
    std::vector<float> weights;  // one each
};
[[nodiscard]] WeightedTokens encode_weighted(const ClipTokenizer& tokenizer,
                                             std::string_view prompt);

}  // namespace lora::text
