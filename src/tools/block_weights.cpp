#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"
#include "tools/lora_keys.h"
#include "tools/merge.h"

namespace lora::tools {
namespace {

// The blocks that hold transformers, in the order of the 17 values.
constexpr std::array<size_t, 16> kWithAttention = {
    1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21, 22, 23, 24};

}  // namespace

double BlockWeights::of(std::string_view layer) const {
    const int block = block_of_layer(layer);
    return block < 0 ? text_encoder : unet[static_cast<size_t>(block)];
}

BlockWeights parse_block_weights(std::string_view text) {
    std::vector<double> values;
    for (const std::string_view word : split(trimmed(text, " \t[]"), ',')) {
        const auto value = parse_number<double>(trimmed(word));
        if (!value || !std::isfinite(*value)) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("block weights \"{}\": \"{}\" is no number", text, word));
        }
        values.push_back(*value);
    }
    BlockWeights weights;
    if (values.size() != 17 && values.size() != 26) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("block weights \"{}\" are {} values", text, values.size()))
            .with_hint(
                "17: text encoder, IN01 02 04 05 07 08, MID, OUT03 to 11; or 26: text "
                "encoder, IN00 to 11, MID, OUT00 to 11");
    }
    weights.text_encoder = values[0];
    if (values.size() == 26) {
        for (size_t i = 0; i < weights.unet.size(); ++i) weights.unet[i] = values[i + 1];
        return weights;
    }
    for (size_t i = 0; i < kWithAttention.size(); ++i) {
        weights.unet[kWithAttention[i]] = values[i + 1];
    }
    return weights;
}

}  // namespace lora::tools
