// Arguments of the kernels for elementwise products of matrices of low rank, shared by host and
// device code.
#pragma once

#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

// dst [rows, cols] = alpha * (a1 b1) * (a2 b2); a [rows, rank], b [rank, cols].
struct HadamardArgs {
    const void* a1 = nullptr;
    const void* b1 = nullptr;
    const void* a2 = nullptr;
    const void* b2 = nullptr;
    void* dst = nullptr;
    int rows = 0;
    int cols = 0;
    int rank1 = 0;
    int rank2 = 0;
    float alpha = 1.0F;
    int wide = 0;  // rows of dst can be stored 16 bytes at a time
};

// own = d * (a b) [rows, cols]; dst fp32 (+ what it holds):
//   rows kernels     dst [rows, own_rank] = alpha * own partner^T, partner [own_rank, cols]
//   columns kernels  dst [own_rank, cols] = alpha * partner^T own, partner [rows, own_rank]
struct HadamardBackwardArgs {
    const void* d = nullptr;
    const void* a = nullptr;
    const void* b = nullptr;
    const void* partner = nullptr;
    float* dst = nullptr;
    SplitSum split;
    int rows = 0;
    int cols = 0;
    int rank = 0;
    int own_rank = 0;
    int steps_per_split = 0;  // of kHadamardTile.rows (columns) along the axis that is summed over
    int pairs = 0;            // elements of d can be read two at a time
    int accumulate = 0;
    float alpha = 1.0F;
};

inline constexpr ProductTile kHadamardTile{.stages = 2, .blocks = 4};
// Of the factor's gradient.
inline constexpr int kHadamardOwn = 32;
inline constexpr ProductTile kHadamardRows{.columns = kHadamardOwn, .depth = 64};
inline constexpr ProductTile kHadamardColumns{.rows = kHadamardOwn, .depth = 64};
inline constexpr int kHadamardBackwardBytes =
    kHadamardTile.stages * kHadamardTile.stage_bytes() + (64 + kHadamardOwn) * 64 * 2;

// The kernels without tensor cores.
inline constexpr int kHadamardSimtThreads = 256;
inline constexpr int kHadamardSimtOwn = 16;  // ranks of a block, by columns

}  // namespace lora::cuda
