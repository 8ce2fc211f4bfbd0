// Arguments and tile shapes of the attention kernels, shared by host and device code.
//   q, o, d_o, dq [N, Tq, C]; k, v, dk, dv [N, Tk, C]; heads split C; lse [N, heads, Tq]
// Three families of kernels compute the same:
//   attention_{forward,dq,dkv}_<head size>_<type>   tensor cores; bf16, f16; 8.0 and later
//   attention_wide_<type>                           tensor cores, forward, multiples of 8 up to 512
//   attention_simt_{forward,dq,dkv}_<limit>_<type>  any head size up to the limit, any card
#pragma once

#include <cstdint>

namespace lora::cuda {

// What the dq kernel leaves for the dkv kernel, one per query of a head.
struct AttentionRow {
    float lse;    // as the family's kernels subtract it: base 2 on tensor cores, natural otherwise
    float delta;  // d_o . o
};

struct AttentionArgs {
    const void* q = nullptr;
    const void* k = nullptr;
    const void* v = nullptr;
    void* o = nullptr;     // backward reads it
    float* lse = nullptr;  // backward reads it
    const void* d_o = nullptr;
    void* dq = nullptr;
    void* dk = nullptr;
    void* dv = nullptr;
    AttentionRow* rows = nullptr;  // [N, heads, Tq]
    float* partial = nullptr;      // [splits, 2, N, Tk, C], dk before dv; unless splits is 1
    int num_samples = 0;
    int num_queries = 0;
    int num_keys = 0;
    int heads = 0;
    int head_size = 0;
    int causal = 0;
    int splits = 1;             // parts of the queries, over grid.z of dkv
    int queries_per_split = 0;  // multiple of the tile's columns
    float scale = 1;
};

// A block owns rows (queries; keys in dkv) and walks over columns (keys; queries in dkv), `columns`
// at a time. Those lie twice in shared memory: some are computed while the next arrive.
struct AttentionTile {
    int row_tiles = 1;  // of 16 rows, per warp
    int row_warps = 4;
    int slices = 1;  // warps that share rows; each takes its part of the columns
    int columns = 64;
    int step = 64;           // columns a warp computes at once, which costs registers
    int blocks = 1;          // per multiprocessor, which bounds registers
    bool holds_rows = true;  // operands of its rows in registers; otherwise in shared memory

    [[nodiscard]] constexpr int rows_per_warp() const { return 16 * row_tiles; }
    [[nodiscard]] constexpr int rows() const { return rows_per_warp() * row_warps; }
    [[nodiscard]] constexpr int threads() const { return 32 * row_warps * slices; }
    [[nodiscard]] constexpr int slice_columns() const { return columns / slices; }
    [[nodiscard]] constexpr int slice_steps() const { return slice_columns() / step; }
};

inline constexpr int kAttentionStages = 2;
inline constexpr int kAttentionHeadSizes[] = {40, 64, 80, 160};  // with tensor core kernels

constexpr AttentionTile attention_forward_tile(int head_size) {
    switch (head_size) {
        case 40: return {.row_tiles = 2, .step = 32, .blocks = 3};
        case 64: return {.row_tiles = 2, .step = 32, .blocks = 2};
        case 80: return {.step = 64, .blocks = 3};
        default: return {.row_warps = 2, .slices = 2, .step = 32, .blocks = 2};
    }
}

constexpr AttentionTile attention_dq_tile(int head_size) {
    switch (head_size) {
        case 40: return {.row_tiles = 2, .step = 32, .blocks = 2};
        case 64:
        case 80: return {.step = 32, .blocks = 3};
        default: return {.row_warps = 2, .slices = 2, .columns = 32, .step = 16, .blocks = 2};
    }
}

constexpr AttentionTile attention_dkv_tile(int head_size) {
    switch (head_size) {
        case 40: return {.row_tiles = 2, .step = 32, .blocks = 2};
        case 64:
        case 80: return {.step = 32, .blocks = 2};
        default:
            return {.row_warps = 2,
                    .slices = 2,
                    .columns = 32,
                    .step = 16,
                    .blocks = 2,
                    .holds_rows = false};
    }
}

// Elements from row to row in shared memory: an odd number of 16-byte units, so that the eight rows
// of an ldmatrix lie in different banks.
constexpr int attention_stride(int head_size) { return (head_size / 8 | 1) * 8; }

// Bytes of one 16-bit matrix [rows, head_size] in shared memory.
constexpr int attention_matrix_bytes(int head_size, int rows) {
    return rows * attention_stride(head_size) * 2;
}

// Shared memory of a block. Slices are joined where the columns were.
constexpr int attention_shared_bytes(const AttentionTile& t, int head_size, bool is_dkv) {
    const int stage = 2 * attention_matrix_bytes(head_size, t.columns) +
                      (is_dkv ? t.columns * static_cast<int>(sizeof(AttentionRow)) : 0);
    const int sums = is_dkv ? 2 : 1;
    const int joined = (t.slices - 1) * t.rows() * (sums * head_size + 2) * 4;
    const int columns = kAttentionStages * stage;
    const int rows = t.holds_rows ? 0 : 2 * attention_matrix_bytes(head_size, t.rows());
    return rows + (columns > joined ? columns : joined);
}

// attention_wide: 16 queries a block, 32 keys a step, 4 warps.
inline constexpr int kWideRows = 16;
inline constexpr int kWideColumns = 32;
inline constexpr int kWideWarps = 4;
inline constexpr int kWideMaxHeadSize = 512;
inline constexpr int kWideScoreStride = kWideColumns + 8;
constexpr int attention_wide_stride(int head_size) { return (head_size + 31) / 32 * 32 + 8; }
constexpr int attention_wide_shared_bytes(int head_size) {
    return attention_wide_stride(head_size) * 2 * (kWideRows + 2 * kWideColumns) +
           kWideRows * kWideScoreStride * 2 + 2 * kWideWarps * kWideRows * 4;
}

// attention_simt: 16 x 16 threads, each with `micro` x `micro` scores.
inline constexpr int kSimtSide = 16;
inline constexpr int kSimtSmallLimit = 160;
inline constexpr int kSimtLimit = 512;
constexpr int attention_simt_micro(int limit) { return limit > kSimtSmallLimit ? 2 : 4; }

}  // namespace lora::cuda
