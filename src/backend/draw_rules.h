// Which elements dropout keeps, bit by bit: what the cpu and cuda kernels share. Definition:
// ir/op.h, backend/reference/elementwise.cpp, base/rng.h. Also compiled by nvcc.
#pragma once

#include <cstdint>

#include "backend/update_args.h"

namespace lora {
class Shape;
namespace ir {
struct Attributes;
}
}  // namespace lora

namespace lora::backend {

inline constexpr uint32_t kDropoutStream = 13;  // RngStream::kDropout

// A block of four words, Philox 4x32-10.
struct DrawBlock {
    uint32_t words[4];
};

LORA_RULE DrawBlock
draw_block(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = static_cast<uint64_t>(0xD2511F53U) * c0;
        const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57U) * c2;
        c0 = static_cast<uint32_t>(p1 >> 32U) ^ c1 ^ k0;
        c2 = static_cast<uint32_t>(p0 >> 32U) ^ c3 ^ k1;
        c1 = static_cast<uint32_t>(p1);
        c3 = static_cast<uint32_t>(p0);
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    return {{c0, c1, c2, c3}};
}

// One dropout node: its operand counts as [samples, middle, features].
struct DropoutDraws {
    uint32_t number = 0;
    uint32_t threshold = 0;  // of a word's upper 24 bits; smaller ones are dropped
    int axes = 0;            // of draws: 4 samples, 2 middle, 1 features
    int64_t middle = 1;
    int64_t features = 1;

    // The draw that decides about element i.
    [[nodiscard]] LORA_RULE int64_t draw(int64_t i) const {
        if (axes == 7) return i;
        int64_t result = (axes & 4) != 0 ? i / (middle * features) : 0;
        if ((axes & 2) != 0) result = result * middle + i / features % middle;
        if ((axes & 1) != 0) result = result * features + i % features;
        return result;
    }
    // `key`: seed and step, low words first.
    [[nodiscard]] LORA_RULE DrawBlock block(const int32_t* key, int64_t index) const {
        return draw_block(static_cast<uint32_t>(index),
                          number,
                          static_cast<uint32_t>(key[2]),
                          static_cast<uint32_t>(key[3]) ^ (kDropoutStream << 24U),
                          static_cast<uint32_t>(key[0]),
                          static_cast<uint32_t>(key[1]));
    }
    [[nodiscard]] LORA_RULE bool keeps(uint32_t word) const { return (word >> 8U) >= threshold; }
};

// Of a node with these attributes over an operand of this shape.
[[nodiscard]] DropoutDraws dropout_draws(const ir::Attributes& attrs, const Shape& shape);

}  // namespace lora::backend
