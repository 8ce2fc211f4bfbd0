// Rows of bf16 to tiles of amx.h, and tiles of sums to rows. Included only by kernels/*_amx.cpp.
#pragma once

#include "backend/cpu/kernels/amx.h"
#include "backend/cpu/kernels/attention_common.h"

namespace lora::cpu::LORA_CPU_ISA {

// Turns a square of words over: line i, lane j -> line j, lane i.
LORA_INLINE void transpose(VecU (&lines)[16]) {
    VecU lane;
    for (int i = 0; i < 16; ++i) lane[i] = static_cast<uint32_t>(i);
    const auto pick = [](VecU a, VecU from, VecU b) {
        return reinterpret_cast<VecU>(_mm512_permutex2var_epi32(reinterpret_cast<__m512i>(a),
                                                                reinterpret_cast<__m512i>(from),
                                                                reinterpret_cast<__m512i>(b)));
    };
#pragma GCC unroll 4
    for (int step = 8; step > 0; step /= 2) {
        // Lanes with the bit of `step` come from the other line; 16 and more name the second.
        const VecU bit = lane & static_cast<uint32_t>(step);
        const VecU is_set = reinterpret_cast<VecU>(bit != 0U);
        const VecU low = (lane & ~is_set) | ((lane - static_cast<uint32_t>(step) + 16U) & is_set);
        const VecU high =
            ((lane + static_cast<uint32_t>(step)) & ~is_set) | ((lane + 16U) & is_set);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            if ((i & step) != 0) continue;
            const VecU a = lines[i];
            const VecU b = lines[i + step];
            lines[i] = pick(a, low, b);
            lines[i + step] = pick(a, high, b);
        }
    }
}

// 16 rows of 32 neighbours from (row, col) on, two to a word; zero outside.
LORA_INLINE void load_rows(const Rows<Bf16>& s, int64_t row, int64_t col, VecU (&lines)[16]) {
    const int64_t left = s.d - col;
    const auto mask = static_cast<__mmask32>(left >= 32 ? 0xFFFFFFFFU : (1U << left) - 1U);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
        lines[i] = row + i < s.rows ? reinterpret_cast<VecU>(_mm512_maskz_loadu_epi16(
                                          mask, s.src + (row + i) * s.stride + col))
                                    : VecU{};
    }
}

// 16 pairs of rows of 16 columns from (row, col) on, a pair to a word; zero outside.
LORA_INLINE void load_row_pairs(const Rows<Bf16>& s, int64_t row, int64_t col, VecU (&lines)[16]) {
    const int64_t left = s.d - col;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xFFFFU : (1U << left) - 1U);
    const auto half = [&](int64_t at) {
        if (at >= s.rows) return VecU{};
        const __m256i bits = _mm256_maskz_loadu_epi16(mask, s.src + at * s.stride + col);
        return reinterpret_cast<VecU>(_mm512_cvtepu16_epi32(bits));
    };
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) lines[i] = pairs_of(half(row + 2 * i), half(row + 2 * i + 1));
}

LORA_INLINE void store_tile(const VecU (&lines)[16], Tile* tile) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) memcpy(tile->line[i], &lines[i], sizeof(VecU));
}

inline int64_t tiles_of_16(int64_t n) { return (n + 15) / 16; }
inline int64_t tiles_of_32(int64_t n) { return (n + 31) / 32; }

// Packing of x [rows][d] to tiles, row by row; rows are filled up to a multiple of 32.
template <bool kPairs, bool kTransposed>
LORA_INLINE void pack_tiles(const Rows<Bf16>& x, Tile* dst) {
    constexpr int64_t kRows = kPairs ? 32 : 16;
    constexpr int64_t kCols = kPairs ? 16 : 32;
    VecU lines[16];
    for (int64_t row = 0; row < 32 * tiles_of_32(x.rows); row += kRows) {
        for (int64_t col = 0; col < x.d; col += kCols) {
            if constexpr (kPairs) {
                load_row_pairs(x, row, col, lines);
            } else {
                load_rows(x, row, col, lines);
            }
            if constexpr (kTransposed) transpose(lines);
            store_tile(lines, dst++);
        }
    }
}
// x as A: [rows / 16][d / 32].
inline void pack_a(const Rows<Bf16>& x, Tile* dst) { pack_tiles<false, false>(x, dst); }
// x^T as B, its columns outside: [rows / 16][d / 32].
inline void pack_b_transposed(const Rows<Bf16>& x, Tile* dst) { pack_tiles<false, true>(x, dst); }
// x as B: [rows / 32][d / 16].
inline void pack_b(const Rows<Bf16>& x, Tile* dst) { pack_tiles<true, false>(x, dst); }
// x^T as A, its depth outside: [rows / 32][d / 16].
inline void pack_a_transposed(const Rows<Bf16>& x, Tile* dst) { pack_tiles<true, true>(x, dst); }

// Rows [first, first + count) of a head.
LORA_INLINE Rows<Bf16> rows_of(const AttentionArgs& g,
                               const void* x,
                               int64_t first,
                               int64_t count) {
    return {static_cast<const Bf16*>(x) + first * g.stride, g.stride, count, g.head_size};
}

inline constexpr int64_t kPanel = 32;  // queries whose scores are held at once

// Where the first of 16 queries' sums lies in [query / 32][d / 16][2] tiles; the others lie two
// apart.
LORA_INLINE int64_t query_tile(int64_t query, int64_t d_tiles) {
    return query / kPanel * 2 * d_tiles + query / 16 % 2;
}

// Tiles of a scratch buffer.
LORA_INLINE Tile* take_tiles(ScratchCutter& cutter, int64_t n) {
    return reinterpret_cast<Tile*>(cutter.floats(n * 256));
}

// Line `i` of a tile, 16 fp32 sums.
LORA_INLINE Vec load_line(const Tile* tile, int64_t i) {
    Vec v;
    memcpy(&v, tile->line[i], sizeof(v));
    return v;
}
LORA_INLINE void store_line(Tile* tile, int64_t i, Vec v) { memcpy(tile->line[i], &v, sizeof(v)); }

// C tiles of x^T, lanes the rows of x -> 16 rows of x from column `col` on.
LORA_INLINE void write_tile_transposed(
    const Tile* tile, Vec factors, int64_t rows, int64_t cols, Bf16* dst, int64_t stride) {
    VecU lines[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) lines[i] = to_bits(load_line(tile, i) * factors);
    transpose(lines);
    for (int64_t i = 0; i < rows; ++i) {
        store_up_to(dst + i * stride, from_bits(lines[i]), cols);
    }
}

}  // namespace lora::cpu::LORA_CPU_ISA
