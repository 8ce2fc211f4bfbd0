// Arguments of the kernels for elementwise products of matrices of low rank, shared by host and
// device code.
#pragma once

#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

// A factor a [rows, rank] or b [rank, cols].
struct HadamardFactor {
    const void* at = nullptr;
    int rank = 0;
    int vector = 0;  // can be loaded 16 bytes at a time
    int halves = 0;  // a alone: 8 bytes
};

// Kernels go along rows in steps of 64, along columns in pieces of up to 64 of one tap.
// A filter lies [rows, taps, channels], and its factors' columns are channel * taps + tap. A matrix
// has one tap.
struct HadamardOrder {
    int taps = 1;
    int channels = 0;
    [[nodiscard]] constexpr int steps() const { return taps * ((channels + 63) / 64); }
};

// dst [rows, cols] = alpha * (a1 b1) * (a2 b2) + addend, the sum rounded by backend/dither_rules.h.
struct HadamardArgs {
    HadamardFactor a1;
    HadamardFactor b1;
    HadamardFactor a2;
    HadamardFactor b2;
    const void* addend = nullptr;  // lies as dst; or null
    void* dst = nullptr;
    HadamardOrder order;
    int rows = 0;
    int cols = 0;
    int slices = 0;  // of 16 ranks
    int stages = 0;  // of steps in shared memory
    int steps = 0;   // along the columns
    int steps_per_split = 0;
    int wide = 0;  // addend and dst can be moved 16 bytes at a time
    float alpha = 1.0F;
};

// own = d * (a b) [rows, cols]; dst fp32 (+ what it holds):
//   by rows     dst [rows, own_rank] = alpha * own partner^T, partner [own_rank, cols]
//   by columns  dst [own_rank, cols] = alpha * partner^T own, partner [rows, own_rank]
struct HadamardBackwardArgs {
    const void* d = nullptr;
    HadamardFactor a;
    HadamardFactor b;
    HadamardFactor partner;
    float* dst = nullptr;
    SplitSum split;
    HadamardOrder order;
    int rows = 0;
    int cols = 0;
    int own_rank = 0;
    int slices = 0;
    int stages = 0;
    int steps = 0;  // along the axis that is summed over
    int steps_per_split = 0;
    int wide = 0;  // d can be read 16 bytes at a time
    int by_rows = 0;
    int accumulate = 0;
    float alpha = 1.0F;
};

// Many of them in one launch; as WeightGradientGroup.
inline constexpr int kMostHadamards = 20;
struct HadamardBackwardGroup {
    int count = 0;
    int first_block[kMostHadamards + 1] = {};
    HadamardBackwardArgs problem[kMostHadamards];
};
static_assert(sizeof(HadamardBackwardGroup) <= 4096, "what a launch can pass");

inline constexpr int kHadamardThreads = 128;
inline constexpr int kHadamardStages = 3;                // at most; at least 2
inline constexpr int kHadamardSliceBytes = 64 * 16 * 2;  // 64 rows or columns, 16 ranks
inline constexpr int kHadamardSquareBytes = 64 * 64 * 2;

// Shared memory: what stays for the whole block, and a step's.
struct HadamardRoom {
    int fixed = 0;
    int stage = 0;
    [[nodiscard]] constexpr int bytes(int stages) const { return fixed + stages * stage; }
};
constexpr HadamardRoom hadamard_room(int slices) {
    return {2 * slices * kHadamardSliceBytes,
            kHadamardSquareBytes + 2 * slices * kHadamardSliceBytes};
}
constexpr HadamardRoom hadamard_backward_room(int slices, int own) {
    return {slices * kHadamardSliceBytes,
            kHadamardSquareBytes + (slices + own / 16) * kHadamardSliceBytes};
}

// The kernels without tensor cores.
inline constexpr int kHadamardSimtThreads = 256;
inline constexpr int kHadamardSimtOwn = 16;  // ranks of a block, by columns

}  // namespace lora::cuda
