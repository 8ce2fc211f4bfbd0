// Pieces that the forward and the backward attention kernels share.
// Included only by kernels/attention*.cpp.
#pragma once

#include "backend/cpu/kernels/tile.h"

namespace lora::cpu::LORA_CPU_ISA {

// Cuts 64-byte aligned pieces off a buffer; with a null buffer it only counts.
class ScratchCutter {
public:
    explicit ScratchCutter(void* buffer) : at_(static_cast<char*>(buffer)), begin_(at_) {}
    float* floats(int64_t n) {
        char* p = at_;
        at_ += round_up(n * static_cast<int64_t>(sizeof(float)), 64);
        return reinterpret_cast<float*>(p);
    }
    [[nodiscard]] int64_t used() const { return at_ - begin_; }

private:
    char* at_;
    char* begin_;
};

LORA_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
LORA_INLINE int64_t num_tiles(int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
LORA_INLINE int64_t num_panels(int64_t cols) { return (cols + kTileCols - 1) / kTileCols; }

// Rows [0, rows) of src, `stride` apart, of which d elements count.
template <typename T>
struct Rows {
    const T* src;
    int64_t stride;
    int64_t rows;
    int64_t d;
};

// What the products multiply: fp32, or pairs of bf16 where the machine multiplies these. One
// operand stands for kDepthOf<O> neighbours in depth.
template <typename O>
inline constexpr int64_t kDepthOf = 1;
template <>
inline constexpr int64_t kDepthOf<Pair> = 2;

template <typename O>
LORA_INLINE O* as(float* words) {
    return reinterpret_cast<O*>(words);
}

// Rows of operands whose depth is the row: the values themselves.
template <typename O, typename T>
LORA_INLINE Rows<T> row_operands(const Rows<T>& s, const O*) {
    return s;
}
LORA_INLINE Rows<Pair> row_operands(const Rows<Bf16>& s, const Pair*) {
    return {reinterpret_cast<const Pair*>(s.src), s.stride / 2, s.rows, s.d / 2};
}

// Neighbours in depth of kLanes columns as operands; fp32 has no second.
template <typename O>
LORA_INLINE void store_operands(O* dst, Vec first, [[maybe_unused]] Vec second) {
    if constexpr (kDepthOf<O> == 2) {
        store(dst, pairs_of(first, second));
    } else {
        store(dst, first);
    }
}

// -> row form of A.
template <typename T, typename O>
LORA_INLINE void pack_row_form(const Rows<T>& s, O* dst) {
    const int64_t tile_size = row_tile_size(s.d);
    for (int64_t row = 0; row < s.rows; ++row) {
        const T* from = s.src + row * s.stride;
        O* to = dst + row / kTileRows * tile_size + row % kTileRows * kLine;
        int64_t k = 0;
        for (; k + kLine <= s.d; k += kLine, to += kTileRows * kLine) {
#pragma GCC unroll 4
            for (int i = 0; i < kLine; i += kLanes) store(to + i, load(from + k + i));
        }
        for (int i = 0; k < s.d; ++k, ++i) to[i] = load_one(from + k);
    }
}

// -> [panel of rows][d][kTileCols]: the transposed matrix as B.
template <typename T, typename O>
LORA_INLINE void pack_transposed(const Rows<T>& s, O* dst) {
    for (int64_t first = 0; first < s.rows; first += kTileCols, dst += s.d * kTileCols) {
        const int64_t n = least(kTileCols, s.rows - first);
        for (int64_t c = 0; c < n; ++c) {
            const T* from = s.src + (first + c) * s.stride;
            for (int64_t k = 0; k < s.d; ++k) dst[k * kTileCols + c] = load_one(from + k);
        }
        for (int64_t c = n; c < kTileCols; ++c) {
            for (int64_t k = 0; k < s.d; ++k) dst[k * kTileCols + c] = O{};
        }
    }
}

// -> [panel of d][rows][kTileCols]: the matrix as B.
template <typename T>
LORA_INLINE void pack_natural(const Rows<T>& s, float* dst) {
    for (int64_t first = 0; first < s.d; first += kTileCols, dst += s.rows * kTileCols) {
        const int64_t n = least(kTileCols, s.d - first);
        for (int64_t row = 0; row < s.rows; ++row) {
            const T* from = s.src + row * s.stride + first;
            float* to = dst + row * kTileCols;
            if (n == kTileCols) {
                store(to, load(from));
                store(to + kLanes, load(from + kLanes));
                continue;
            }
            for (int64_t c = 0; c < n; ++c) to[c] = load_one(from + c);
            for (int64_t c = n; c < kTileCols; ++c) to[c] = 0.0F;
        }
    }
}

// The same in pairs of rows, the last one's second row 0: -> [panel of d][rows / 2][kTileCols].
LORA_INLINE void pack_natural(const Rows<Bf16>& s, Pair* dst) {
    for (int64_t first = 0; first < s.d; first += kTileCols) {
        const int64_t n = least(kTileCols, s.d - first);
        for (int64_t row = 0; row < s.rows; row += 2, dst += kTileCols) {
            const Bf16* from = s.src + row * s.stride + first;
            const bool has_second = row + 1 < s.rows;
            if (n == kTileCols && has_second) {
                for (int half = 0; half < 2; ++half) {
                    const Bf16* at = from + half * kLanes;
                    store(dst + half * kLanes, pairs_of(load_bits(at), load_bits(at + s.stride)));
                }
                continue;
            }
            for (int64_t c = 0; c < kTileCols; ++c) {
                const uint32_t low = c < n ? from[c].bits : 0;
                const uint32_t high = c < n && has_second ? from[c + s.stride].bits : 0;
                dst[c].bits = low | high << 16;
            }
        }
    }
}

// Rows to read column form from, their depth the rows: [rows / kDepthOf<O>][d], the source itself
// or made in `buffer`.
template <typename O>
struct ColumnOperands {
    const O* data;
    int64_t stride;
};
LORA_INLINE ColumnOperands<float> column_operands(const Rows<float>& s, float*) {
    return {s.src, s.stride};
}
LORA_INLINE ColumnOperands<Pair> column_operands(const Rows<Bf16>& s, Pair* buffer) {
    for (int64_t row = 0; row < s.rows; row += 2) {
        const Bf16* from = s.src + row * s.stride;
        Pair* to = buffer + row / 2 * s.d;
        const bool has_second = row + 1 < s.rows;
        int64_t k = 0;
        for (; has_second && k + kLanes <= s.d; k += kLanes) {
            store(to + k, pairs_of(load_bits(from + k), load_bits(from + k + s.stride)));
        }
        for (; k < s.d; ++k) {
            const uint32_t high = has_second ? from[k + s.stride].bits : 0;
            to[k].bits = from[k].bits | high << 16;
        }
    }
    return {buffer, s.d};
}
LORA_INLINE ColumnOperands<float> column_operands(const Rows<Bf16>& s, float* buffer) {
    for (int64_t row = 0; row < s.rows; ++row) {
        const Bf16* from = s.src + row * s.stride;
        float* to = buffer + row * s.d;
        int64_t k = 0;
        for (; k + kLanes <= s.d; k += kLanes) store(to + k, load(from + k));
        for (; k < s.d; ++k) to[k] = load_one(from + k);
    }
    return {buffer, s.d};
}

// sums [d][kTileCols] += x^T b for x [rows][d], b [rows][kTileCols], both in operands.
template <typename O>
LORA_INLINE void add_transposed_product(
    const ColumnOperands<O>& x, int64_t rows, int64_t d, const O* b, float* sums) {
    const int64_t depth = (rows + kDepthOf<O> - 1) / kDepthOf<O>;
    int64_t j = 0;
    const auto run = [&]<int kRows>() {
        Sums<kRows> s;
        load_sums(s, sums + j * kTileCols);
        tile_columns(s, x.data + j, x.stride, b, depth);
        store_sums(s, sums + j * kTileCols);
    };
    for (; j + kTileRows <= d; j += kTileRows) run.template operator()<kTileRows>();
    with_rows<kTileRows - 1>(d - j, run);
}

// [d][kTileCols] -> `rows` rows of d elements, each multiplied by its factor.
template <typename T>
LORA_INLINE void write_transposed(
    const float* sums, const float* factors, int64_t rows, int64_t d, T* dst, int64_t stride) {
    for (int64_t row = 0; row < rows; ++row) {
        T* to = dst + row * stride;
        for (int64_t j = 0; j < d; ++j) store_one(to + j, sums[j * kTileCols + row] * factors[row]);
    }
}

// Runs body<T, O>() for the type and the shape.
template <typename Body>
LORA_INLINE void with_types(const AttentionArgs& g, const Body& body) {
    if (g.type != Elem::kBF16) {
        body.template operator()<float, float>();
        return;
    }
#if defined(__AVX512BF16__)
    if (g.head_size % 2 == 0 && g.stride % 2 == 0) {
        body.template operator()<Bf16, Pair>();
        return;
    }
#endif
    body.template operator()<Bf16, float>();
}

}  // namespace lora::cpu::LORA_CPU_ISA
