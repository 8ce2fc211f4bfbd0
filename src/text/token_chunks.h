// Cuts the token ids of a caption or prompt into windows of 77 for the text encoder.
// Not here: joining the encoder's states (train/), the tokenizer itself.
// Threads  pure. Source: kohya sd-scripts get_input_ids (training), AUTOMATIC1111 (sampling).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lora::text {

inline constexpr int64_t kWindowTokens = 77;
inline constexpr int64_t kWindowText = 75;  // without begin and end

enum class TextEncoderFamily {
    kSD1,  // pads with the end token
    kSD2,  // pads with 0
};

struct ChunkOptions {
    int64_t max_token_length = 75;  // a multiple of 75: 75, 150, 225
    TextEncoderFamily family = TextEncoderFamily::kSD1;
};

// Always max_token_length / 75 windows; longer captions are cut.
// Errors  kConfig if max_token_length is not a positive multiple of 75.
[[nodiscard]] std::vector<std::vector<int32_t>> training_chunks(std::span<const int32_t> ids,
                                                                const ChunkOptions& options);

// As many windows as the prompt needs, at least one and at least min_chunks (positive and negative
// prompt are padded to the same count): begin, up to 75 ids, then end tokens (SD1) or end and
// zeros.
[[nodiscard]] std::vector<std::vector<int32_t>> sampling_chunks(
    std::span<const int32_t> ids,
    TextEncoderFamily family = TextEncoderFamily::kSD1,
    int64_t min_chunks = 1);

}  // namespace lora::text
