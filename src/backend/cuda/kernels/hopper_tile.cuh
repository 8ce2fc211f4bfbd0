// What the kernels on Hopper's wgmma share: a block's tile, the barriers between the warp that
// copies and the warpgroups that multiply, and sums on their way to memory (sm_90a).
// Used by gemm_hopper.cuh and wgrad_hopper.cu.
#pragma once

#include "backend/cuda/kernels/tma.cuh"
#include "backend/cuda/kernels/wgmma.cuh"

namespace lora::cuda {

template <int kTileWarpgroups,
          int kTileRows,
          int kTileColumns,
          int kTileStages,
          bool kTileMakesMid = false>
struct HopperTile {
    static constexpr int kWarpgroups = kTileWarpgroups;  // that multiply
    static constexpr int kRows = kTileRows;
    static constexpr int kColumns = kTileColumns;
    static constexpr int kStages = kTileStages;
    static constexpr bool kMakesMid = kTileMakesMid;
    static constexpr int kRowTiles = kRows / 64 / kWarpgroups;  // of 64 rows, a warpgroup's
    static constexpr int kMultiplyThreads = 128 * kWarpgroups;
    // With many sums a thread, the copying warp's warpgroup gives its registers to the others.
    static constexpr bool kTradesRegisters = kRowTiles * (kColumns + (kMakesMid ? 32 : 0)) > 256;
    static constexpr int kThreads = kMultiplyThreads + (kTradesRegisters ? 128 : 32);
    static constexpr int kDepth = 64;
    static constexpr int kRowBytes = kDepth * 2;
    static constexpr int kABytes = kRows * kRowBytes;
    // B with n contiguous comes in blocks of 64 columns.
    static constexpr int kColumnBlocks = (kColumns + 63) / 64;
    static constexpr int kBBytes = kColumnBlocks * 64 * kRowBytes;
    // The thin factor that makes A2 of A, at most 32 columns (or rows) of it.
    static constexpr int kMidBytes = kMakesMid ? 64 * kRowBytes : 0;
    static constexpr int kStageBytes = kABytes + kBBytes + kMidBytes;
    static constexpr int kPipelineBytes = kStages * kStageBytes;
    static constexpr int kStagingStride = kColumns + 4;  // floats; rows of the result on their way
    static constexpr int kBarrierBytes = 2 * kStages * 8;
    static_assert(kWarpgroups * 64 * kStagingStride * 4 <= kPipelineBytes);
    static_assert(kRows % (64 * kWarpgroups) == 0 && kABytes % 1024 == 0);
};

// Stage i has arrived when its copies have, and is free when all warps that multiply say so.
template <typename Tile>
__device__ __forceinline__ void start_pipeline(uint32_t arrived, uint32_t free) {
    if (threadIdx.x == 0) {
        for (int i = 0; i < Tile::kStages; ++i) {
            barrier_init(arrived + i * 8, 1);
            barrier_init(free + i * 8, Tile::kMultiplyThreads / 32);
        }
        barriers_ready();
    }
    __syncthreads();
}

// A warp's sums of one row tile into its own 16 rows of staging, kStagingStride floats each.
template <typename Tile>
__device__ __forceinline__ void stage_rows(float* own, const float* sums) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    __syncwarp();  // the rows before have left
#pragma unroll
    for (int j = 0; j < Tile::kColumns / 8; ++j) {
        float* upper = own + lane / 4 * Tile::kStagingStride + j * 8 + lane % 4 * 2;
        float* lower = upper + 8 * Tile::kStagingStride;
        const float* c = sums + j * 4;
        *reinterpret_cast<float2*>(upper) = make_float2(c[0], c[1]);
        *reinterpret_cast<float2*>(lower) = make_float2(c[2], c[3]);
    }
    __syncwarp();
}

}  // namespace lora::cuda
