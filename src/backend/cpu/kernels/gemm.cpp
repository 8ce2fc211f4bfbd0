// Blocks of matrix products, and the packing of their operands.
#include "backend/cpu/kernels/registry.h"
#include "backend/cpu/kernels/tile.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

// dst = alpha * sum + bias + addend for the rows of a tile.
template <typename T>
void write_rows(const GemmBlock& g, const float* sums, int64_t num_rows, int64_t row, int64_t col) {
    const int64_t count = g.cols - col < kTileCols ? g.cols - col : kTileCols;
    for (int64_t r = row; r < row + num_rows; ++r, sums += kTileCols) {
        T* dst = static_cast<T*>(g.dst_rows[r]) + col;
        const T* addend =
            g.addend_rows == nullptr ? nullptr : static_cast<const T*>(g.addend_rows[r]) + col;
        for (int64_t at = 0; at < count; at += kLanes) {
            const int64_t n = count - at;
            Vec v = load(sums + at) * splat(g.alpha);
            if (n >= kLanes) {
                if (g.bias != nullptr) v += load(g.bias + col + at);
                if (addend != nullptr) v += load(addend + at);
                store(dst + at, v);
            } else {
                if (g.bias != nullptr) v += load_part(g.bias + col + at, n);
                if (addend != nullptr) v += load_part(addend + at, n);
                store_part(dst + at, v, n);
            }
        }
    }
}

// The same with columns apart (weight gradients of 3x3 kernels); fp32 only.
void write_rows_apart(
    const GemmBlock& g, const float* sums, int64_t num_rows, int64_t row, int64_t col) {
    const int64_t count = g.cols - col < kTileCols ? g.cols - col : kTileCols;
    for (int64_t r = row; r < row + num_rows; ++r, sums += kTileCols) {
        const int64_t start = col * g.dst_step;
        float* dst = static_cast<float*>(g.dst_rows[r]) + start;
        const float* addend = g.addend_rows == nullptr
                                  ? nullptr
                                  : static_cast<const float*>(g.addend_rows[r]) + start;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t at = i * g.dst_step;
            dst[at] = g.alpha * sums[i] + (addend == nullptr ? 0.0F : addend[at]);
        }
    }
}

void write_tile(const GemmBlock& g, const float* sums, int64_t num_rows, int64_t row, int64_t col) {
    if (g.dst_step != 1) {
        write_rows_apart(g, sums, num_rows, row, col);
    } else if (g.dst_type == Elem::kBF16) {
        write_rows<Bf16>(g, sums, num_rows, row, col);
    } else {
        write_rows<float>(g, sums, num_rows, row, col);
    }
}

template <int kRows, typename TB>
void run_tile(const GemmBlock& g, int64_t row, int64_t panel) {
    const TB* b = static_cast<const TB*>(g.b) + panel * g.b_panel_stride;
    const int64_t padded_rows = round_up(g.rows, kTileRows);
    float* partial = g.partial + (panel * padded_rows + row) * kTileCols;
    Sums<kRows> sums;
    if (g.first) {
        clear(sums);
    } else {
        load_sums(sums, partial);
    }
    if (g.a_columns) {
        tile_columns<kRows>(sums, g.a + row * g.depth, kTileRows, b, g.depth);
    } else {
        tile_rows<kRows>(sums, g.a + row / kTileRows * row_tile_size(g.depth), b, g.depth);
    }
    if (!g.last) {
        store_sums(sums, partial);
        return;
    }
    float tile[kRows * kTileCols];
    store_sums(sums, tile);
    write_tile(g, tile, kRows, row, panel * kTileCols);
}

template <typename TB>
void run_block(const GemmBlock& g) {
    const int64_t num_panels = (g.cols + kTileCols - 1) / kTileCols;
    for (int64_t panel = 0; panel < num_panels; ++panel) {
        int64_t row = 0;
        for (; row + kTileRows <= g.rows; row += kTileRows) run_tile<kTileRows, TB>(g, row, panel);
        with_rows<kTileRows - 1>(g.rows - row,
                                 [&]<int kRows>() { run_tile<kRows, TB>(g, row, panel); });
    }
}

void gemm_block(const GemmBlock& g) {
    if (g.b_type == Elem::kBF16) {
        run_block<Bf16>(g);
    } else {
        run_block<float>(g);
    }
}

template <typename TS, typename TD>
void pack_panels_as(const PackSource& s, TD* dst, int64_t panel_stride) {
    const TS* src = static_cast<const TS*>(s.src);
    for (int64_t col = 0; col < s.cols; col += kTileCols, dst += panel_stride) {
        const int64_t n = s.cols - col;
        for (int64_t row = 0; row < s.rows; ++row) {
            TD* to = dst + (s.first_row + row) * kTileCols;
            if (src == nullptr) {
                store(to, splat(0.0F));
                store(to + kLanes, splat(0.0F));
                continue;
            }
            const TS* from = src + row * s.row_stride + col;
            for (int half = 0; half < 2; ++half) {
                const int64_t left = n - half * kLanes;
                Vec v = splat(0.0F);
                if (left >= kLanes) {
                    v = load(from + half * kLanes);
                } else if (left > 0) {
                    v = load_part(from + half * kLanes, left);
                }
                store(to + half * kLanes, v);
            }
        }
    }
}

template <typename TS, typename TD>
void pack_transposed_as(const PackSource& s, TD* dst, int64_t panel_stride) {
    const TS* src = static_cast<const TS*>(s.src);
    constexpr int64_t kStep = 16;  // depths at a time: one or two cache lines of each source row
    for (int64_t col = 0; col < s.rows; col += kTileCols, dst += panel_stride) {
        const int64_t n = s.rows - col < kTileCols ? s.rows - col : kTileCols;
        for (int64_t k0 = 0; k0 < s.cols; k0 += kStep) {
            const int64_t k1 = k0 + kStep < s.cols ? k0 + kStep : s.cols;
            for (int64_t c = 0; c < n; ++c) {
                const TS* from = src + (col + c) * s.row_stride;
                for (int64_t k = k0; k < k1; ++k) {
                    store_one(dst + k * kTileCols + c, load_one(from + k));
                }
            }
            for (int64_t c = n; c < kTileCols; ++c) {
                for (int64_t k = k0; k < k1; ++k) store_one(dst + k * kTileCols + c, 0.0F);
            }
        }
    }
}

template <typename TS>
void pack_columns_as(const PackSource& s, float* dst) {
    const TS* src = static_cast<const TS*>(s.src);
    for (int64_t col = 0; col < s.cols; col += kTileRows, dst += s.rows * kTileRows) {
        const int64_t n = s.cols - col < kTileRows ? s.cols - col : kTileRows;
        for (int64_t row = 0; row < s.rows; ++row) {
            const TS* from = src + row * s.row_stride + col;
            float* to = dst + row * kTileRows;
            for (int64_t i = 0; i < n; ++i) to[i] = load_one(from + i);
            for (int64_t i = n; i < kTileRows; ++i) to[i] = 0.0F;
        }
    }
}

template <typename TS>
void pack_rows_as(const PackSource& s, float* dst) {
    const TS* src = static_cast<const TS*>(s.src);
    const int64_t tile_size = row_tile_size(s.cols);
    for (int64_t i_row = 0; i_row < s.rows; ++i_row) {
        const int64_t row = s.first_row + i_row;
        float* to = dst + row / kTileRows * tile_size + row % kTileRows * kLine;
        if (src == nullptr) {
            for (int64_t k = 0; k < s.cols; k += kLine, to += kTileRows * kLine) {
                memset(to, 0, kLine * sizeof(float));
            }
            continue;
        }
        const TS* from = src + i_row * s.row_stride;
        int64_t k = 0;
        for (; k + kLine <= s.cols; k += kLine, to += kTileRows * kLine) {
#pragma GCC unroll 4
            for (int i = 0; i < kLine; i += kLanes) store(to + i, load(from + k + i));
        }
        for (int i = 0; k < s.cols; ++k, ++i) to[i] = load_one(from + k);
    }
}

void pack_panels(const PackSource& s, Elem dst_type, void* dst, int64_t panel_stride) {
    const bool from_bf16 = s.type == Elem::kBF16;
    if (dst_type == Elem::kBF16) {
        Bf16* to = static_cast<Bf16*>(dst);
        from_bf16 ? pack_panels_as<Bf16>(s, to, panel_stride)
                  : pack_panels_as<float>(s, to, panel_stride);
    } else {
        float* to = static_cast<float*>(dst);
        from_bf16 ? pack_panels_as<Bf16>(s, to, panel_stride)
                  : pack_panels_as<float>(s, to, panel_stride);
    }
}

void pack_panels_transposed(const PackSource& s, Elem dst_type, void* dst, int64_t panel_stride) {
    const bool from_bf16 = s.type == Elem::kBF16;
    if (dst_type == Elem::kBF16) {
        Bf16* to = static_cast<Bf16*>(dst);
        from_bf16 ? pack_transposed_as<Bf16>(s, to, panel_stride)
                  : pack_transposed_as<float>(s, to, panel_stride);
    } else {
        float* to = static_cast<float*>(dst);
        from_bf16 ? pack_transposed_as<Bf16>(s, to, panel_stride)
                  : pack_transposed_as<float>(s, to, panel_stride);
    }
}

void pack_columns(const PackSource& s, float* dst) {
    s.type == Elem::kBF16 ? pack_columns_as<Bf16>(s, dst) : pack_columns_as<float>(s, dst);
}

void pack_rows(const PackSource& s, float* dst) {
    s.type == Elem::kBF16 ? pack_rows_as<Bf16>(s, dst) : pack_rows_as<float>(s, dst);
}

}  // namespace

void add_gemm_kernels(KernelTable& table) {
    table.gemm_rows = kTileRows;
    table.gemm_cols = kTileCols;
    table.gemm_line = kLine;
    table.gemm_block = gemm_block;
    table.pack_panels = pack_panels;
    table.pack_panels_transposed = pack_panels_transposed;
    table.pack_columns = pack_columns;
    table.pack_rows = pack_rows;
}

}  // namespace lora::cpu::LORA_CPU_ISA
