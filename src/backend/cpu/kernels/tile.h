// The register tile of a matrix product: rows x kTileCols sums of a row of A times a panel of B.
// Included only by kernels/*.cpp, like simd.h.
#pragma once

#include "backend/cpu/kernels/simd.h"

namespace lora::cpu::LORA_CPU_ISA {

// Sums, two vectors a row, must fit the registers beside two vectors of B and one of A.
inline constexpr int kTileRows = kLanes == 16 ? 14 : 6;
inline constexpr int kTileCols = 2 * kLanes;
// Row form of A: [row tile][depth / kLine][kTileRows][kLine], so that a tile reads one stream and
// packing copies whole cache lines.
inline constexpr int kLine = 16;

template <int kRows>
struct Sums {
    Vec v[kRows][2];
};

LORA_INLINE int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Floats of one row tile in row form.
LORA_INLINE int64_t row_tile_size(int64_t depth) { return round_up(depth, kLine) * kTileRows; }

template <int kRows>
LORA_INLINE void clear(Sums<kRows>& sums) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) sums.v[r][0] = sums.v[r][1] = splat(0.0F);
}

template <int kRows>
LORA_INLINE void load_sums(Sums<kRows>& sums, const float* src) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        sums.v[r][0] = load(src + r * kTileCols);
        sums.v[r][1] = load(src + r * kTileCols + kLanes);
    }
}

template <int kRows>
LORA_INLINE void store_sums(const Sums<kRows>& sums, float* dst) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        store(dst + r * kTileCols, sums.v[r][0]);
        store(dst + r * kTileCols + kLanes, sums.v[r][1]);
    }
}

// One step of depth; the rows of A lie `a_row` (a constant) apart.
template <int kRows, int kARow, typename TB>
LORA_INLINE void tile_step(Sums<kRows>& sums, const float* a, const TB* b) {
    const Vec b0 = load(b);
    const Vec b1 = load(b + kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        const Vec value = splat(a[r * kARow]);
        sums.v[r][0] += value * b0;
        sums.v[r][1] += value * b1;
    }
}

#if defined(__AVX512BF16__)
// One step of two depths: products of bf16 are exact in fp32, the sums are fp32.
template <int kRows, int kARow>
LORA_INLINE void tile_step(Sums<kRows>& sums, const Pair* a, const Pair* b) {
    const auto operand = [](VecU v) { return reinterpret_cast<__m512bh>(v); };
    const auto add = [&](Vec& sum, __m512bh x, __m512bh y) {
        sum = reinterpret_cast<Vec>(_mm512_dpbf16_ps(reinterpret_cast<__m512>(sum), x, y));
    };
    const __m512bh b0 = operand(load(b));
    const __m512bh b1 = operand(load(b + kLanes));
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
        const __m512bh value = operand(VecU{} + a[r * kARow].bits);
        add(sums.v[r][0], value, b0);
        add(sums.v[r][1], value, b1);
    }
}
#endif

// A in row form.
template <int kRows, typename TA, typename TB>
LORA_INLINE void tile_rows(Sums<kRows>& sums, const TA* a, const TB* b, int64_t depth) {
    int64_t k = 0;
    for (; k + kLine <= depth; k += kLine, a += kTileRows * kLine) {
#pragma GCC unroll 4
        for (int i = 0; i < kLine; ++i, b += kTileCols) {
            tile_step<kRows, kLine>(sums, a + i, b);
        }
    }
    for (; k < depth; ++k, ++a, b += kTileCols) tile_step<kRows, kLine>(sums, a, b);
}

// A in column form: the rows of one depth lie side by side, depths `a_step` apart.
template <int kRows, typename TA, typename TB>
LORA_INLINE void tile_columns(
    Sums<kRows>& sums, const TA* a, int64_t a_step, const TB* b, int64_t depth) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < depth; ++k, a += a_step, b += kTileCols) {
        tile_step<kRows, 1>(sums, a, b);
    }
}

// Calls fn<kRows>() for a row count that is known only at run time.
template <int kRows = kTileRows, typename Fn>
LORA_INLINE void with_rows(int64_t rows, Fn&& fn) {
    if constexpr (kRows > 0) {
        if (rows == kRows) {
            fn.template operator()<kRows>();
        } else {
            with_rows<kRows - 1>(rows, fn);
        }
    }
}

}  // namespace lora::cpu::LORA_CPU_ISA
