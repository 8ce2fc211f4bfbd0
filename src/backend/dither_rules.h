// How the sum of a frozen weight and a small change is rounded to half precision: by a fixed
// dither, so that a change below half a step of the weight is not lost but moves the share of the
// elements that it is of a step. What all backends share. Also compiled by nvcc.
#pragma once

#include <cstring>

#include "backend/update_args.h"

namespace lora::backend {

// Low bits of an fp32 that the type has no place for.
inline constexpr int kSpareBitsBf16 = 16;
inline constexpr int kSpareBitsF16 = 13;

// The threshold of an element: multiples of the golden ratio, which lie evenly over any stretch of
// neighbouring indices, so that sums along a row lose next to nothing. The word of a sum of indices
// is the sum of their words.
LORA_RULE uint32_t dither_word(uint32_t index) { return index * 0x9E3779B9U; }

// x with its low `spare_bits` zero, one step up in magnitude for the share of the words that these
// bits are of a step. What has no low bits, infinities and NaN stay as they are.
LORA_RULE float dithered(float x, uint32_t word, int spare_bits) {
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof(bits));
    bits += word >> (32 - spare_bits);
    bits &= ~0U << spare_bits;
    float rounded = 0;
    memcpy(&rounded, &bits, sizeof(rounded));
    return x != x ? x : rounded;
}

}  // namespace lora::backend
