// CLIP's merge list as pairs of token ids; written by gen/make_clip_merges.cpp while building.
#pragma once

#include <cstdint>
#include <span>

namespace lora::text::internal {

struct Merge {
    uint16_t left = 0;
    uint16_t right = 0;
};

// Row i merges two tokens into token 512 + i; earlier rows win.
[[nodiscard]] std::span<const Merge> clip_merges();

}  // namespace lora::text::internal
