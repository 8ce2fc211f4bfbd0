// Tiles of two matrices in shared memory, and a block's product of them on tensor cores.
// A tile is rows of 16-byte units (8 elements); the unit's place within its row depends on the row,
// so that eight rows read by one ldmatrix, and units written side by side, lie in different banks.
// Loaders (gemm_load.cuh) write tiles, epilogues (gemm.cuh, wgrad.cu) take the sums.
#pragma once

#include "backend/cuda/kernels/product_args.h"
#include "backend/cuda/kernels/tensor_core.cuh"

namespace lora::cuda {

// Bytes from a tile's start to unit `unit` of `row`, in rows of kUnits units.
template <int kUnits>
__device__ __forceinline__ int unit_offset(int row, int unit) {
    static_assert(kUnits == 2 || kUnits == 4 || kUnits % 8 == 0);
    const int turn = kUnits < 8 ? row / (8 / kUnits) % kUnits : row % 8;
    return (row * kUnits + (unit ^ turn)) * 16;
}

// The sums of one warp: fragments of 16 x 8, as Mma leaves them.
template <ProductTile kTile>
struct WarpSums {
    static constexpr int kRowTiles = kTile.warp_rows() / 16;
    static constexpr int kColumnTiles = kTile.warp_columns() / 8;
    static_assert(kTile.warp_rows() % 16 == 0 && kTile.warp_columns() % 16 == 0);
    static constexpr int kCount = kRowTiles * kColumnTiles * 4;
    float at[kRowTiles][kColumnTiles][4];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < kRowTiles; ++i) {
#pragma unroll
            for (int j = 0; j < kColumnTiles; ++j) {
#pragma unroll
                for (int e = 0; e < 4; ++e) at[i][j][e] = 0.0F;
            }
        }
    }
};

template <ProductTile kTile>
__device__ __forceinline__ int warp_first_row() {
    return static_cast<int>(threadIdx.x) / 32 / kTile.column_warps * kTile.warp_rows();
}
template <ProductTile kTile>
__device__ __forceinline__ int warp_first_column() {
    return static_cast<int>(threadIdx.x) / 32 % kTile.column_warps * kTile.warp_columns();
}

// Calls fn(row, column, sum) for every sum of this thread, counted from the block's tile.
template <ProductTile kTile, typename Fn>
__device__ __forceinline__ void each_sum(const WarpSums<kTile>& sums, Fn fn) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row = warp_first_row<kTile>() + lane / 4;
    const int column = warp_first_column<kTile>() + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < WarpSums<kTile>::kRowTiles; ++i) {
#pragma unroll
        for (int j = 0; j < WarpSums<kTile>::kColumnTiles; ++j) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                fn(row + i * 16 + e / 2 * 8, column + j * 8 + e % 2, sums.at[i][j][e]);
            }
        }
    }
}

// sums += left right for one step. left: tile [rows, depth], or [depth, rows] when kLeftByDepth;
// right: tile [columns, depth], or [depth, columns] when kRightByDepth.
template <typename T, ProductTile kTile, bool kLeftByDepth, bool kRightByDepth>
__device__ __forceinline__ void multiply_tiles(WarpSums<kTile>& sums,
                                               uint32_t left,
                                               uint32_t right) {
    using Sums = WarpSums<kTile>;
    constexpr int kDepthUnits = kTile.depth / 8;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int row = warp_first_row<kTile>();
    const int column = warp_first_column<kTile>();
    // Of the four matrices of one load: which half of 16 across and which of 16 along.
    const int low = lane % 8;
    const int second = lane / 8 % 2;
    const int third = lane / 16;
#pragma unroll
    for (int k = 0; k < kTile.depth; k += 16) {
        uint32_t a[Sums::kRowTiles][4];
#pragma unroll
        for (int i = 0; i < Sums::kRowTiles; ++i) {
            const int first = row + i * 16;
            const int offset =
                kLeftByDepth ? unit_offset<kTile.rows / 8>(k + low + third * 8, first / 8 + second)
                             : unit_offset<kDepthUnits>(first + low + second * 8, k / 8 + third);
            load_4_matrices<kLeftByDepth>(a[i], left + offset);
        }
#pragma unroll
        for (int j = 0; j < Sums::kColumnTiles; j += 2) {
            const int first = column + j * 8;
            const int offset =
                kRightByDepth
                    ? unit_offset<kTile.columns / 8>(k + low + second * 8, first / 8 + third)
                    : unit_offset<kDepthUnits>(first + low + third * 8, k / 8 + second);
            uint32_t b[4];
            load_4_matrices<kRightByDepth>(b, right + offset);
#pragma unroll
            for (int i = 0; i < Sums::kRowTiles; ++i) {
                Mma<T>::depth_16(sums.at[i][j], a[i], b[0], b[1]);
                Mma<T>::depth_16(sums.at[i][j + 1], a[i], b[2], b[3]);
            }
        }
    }
}

// The sums over `count` steps. load(stage) starts the copies of the next step to shared memory at
// `stage`, which steps use in turn, several of them ahead.
template <typename T, ProductTile kTile, bool kLeftByDepth, bool kRightByDepth, typename Load>
__device__ __forceinline__ void sum_steps(WarpSums<kTile>& sums, int count, const Load& load) {
    const uint32_t base = shared_address(dynamic_shared());
    const auto start = [&](int step) {
        if (step < count) load(base + step % kTile.stages * kTile.stage_bytes());
        copies_commit();
    };
    sums.clear();
#pragma unroll
    for (int step = 0; step < kTile.stages - 1; ++step) start(step);
    for (int step = 0; step < count; ++step) {
        copies_wait<kTile.stages - 2>();
        __syncthreads();  // this step has arrived, and nobody reads the one before
        start(step + kTile.stages - 1);
        const uint32_t stage = base + step % kTile.stages * kTile.stage_bytes();
        multiply_tiles<T, kTile, kLeftByDepth, kRightByDepth>(
            sums, stage, stage + kTile.left_bytes());
    }
    copies_wait<0>();
}

// Neighbouring blocks share columns of the right matrix in groups of eight row tiles, for the L2
// cache.
struct TilePosition {
    int row;
    int column;
};
__device__ __forceinline__ TilePosition
tile_position(int block, int m, int n, int rows, int columns) {
    constexpr int kGroup = 8;
    const int row_tiles = (m + rows - 1) / rows;
    const int column_tiles = (n + columns - 1) / columns;
    const int first = block / (kGroup * column_tiles) * kGroup;
    const int group_rows = min(row_tiles - first, kGroup);
    const int within = block % (kGroup * column_tiles);
    return {(first + within % group_rows) * rows, within / group_rows * columns};
}

}  // namespace lora::cuda
