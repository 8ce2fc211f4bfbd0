// The product of product_args.h on Hopper's wgmma. A and B travel with cp.async into 128-byte
// swizzled tiles (A may be gathered from an image on the way), and 64 x 16 slices of A meet
// columns of B in shared memory.
// Types   bf16 or f16 in, fp32 accumulated, the same type out.
// A second product over a thin A2 comes first, so that its sums can be scaled where they are.
// Needs   strides and addresses in multiples of 8 elements; for a gathered A `channels`, and for
//         several taps of B `b_tap_k`, in multiples of 64.
// Launch  grid {tiles of m * tiles of n, 1, splits}, kWarpgroups * 128 threads,
//         HopperTile::kSharedBytes of dynamic shared memory.
// Cases   tests/support/cases/product.cpp (wide ones), lora_bench op linear, conv2d.
#pragma once

#include "backend/cuda/kernels/gemm_hopper_load.cuh"

namespace lora::cuda {

// Eight neighbours of one row: alpha * sum + bias + addend, rounded once.
template <typename T>
__device__ __forceinline__ void store_eight(const ProductArgs& p, const float* sums, int m, int n) {
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = p.alpha * sums[j];
    const int64_t at = static_cast<int64_t>(m) * p.ldd + n;
    if (p.bias != nullptr) {
        const auto bias = *reinterpret_cast<const Vector<T, 8>*>(static_cast<const T*>(p.bias) + n);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] += to_float(bias.at[j]);
    }
    if (p.addend != nullptr) {
        const auto add =
            *reinterpret_cast<const Vector<T, 8>*>(static_cast<const T*>(p.addend) + at);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] += to_float(add.at[j]);
    }
    Vector<T, 8> result;
#pragma unroll
    for (int j = 0; j < 8; ++j) result.at[j] = from_float<T>(v[j]);
    *reinterpret_cast<Vector<T, 8>*>(static_cast<T*>(p.dst) + at) = result;
}

template <typename T,
          Gather kGather,
          bool kDepthContiguous,
          int kWarpgroups,
          int kColumns,
          int kStages>
__device__ __forceinline__ void gemm_hopper(const ProductArgs& p) {
    using Tile = HopperTile<kWarpgroups, kColumns, kStages>;
    constexpr int kStep = kColumns <= 160 ? kColumns : 128;  // columns of one instruction
    constexpr int kSteps = kColumns / kStep;
    constexpr int kAhead = kStages - 2;
    static_assert(kAhead >= 1);
    extern __shared__ uint8_t shared_raw[];
    const uint32_t raw = shared_address(shared_raw);
    const uint32_t base = (raw + 1023U) & ~1023U;

    const BlockPlace place = place_in_grid();
    // Neighbouring blocks share columns of B in groups of eight row tiles, for the L2 cache.
    const int row_tiles = (p.m + Tile::kRows - 1) / Tile::kRows;
    const int column_tiles = (p.n + kColumns - 1) / kColumns;
    constexpr int kGroup = 8;
    const int in_group = kGroup * column_tiles;
    const int first_tile = place.tile / in_group * kGroup;
    const int group_rows = min(row_tiles - first_tile, kGroup);
    const int within = place.tile % in_group;
    const int first_row = (first_tile + within % group_rows) * Tile::kRows;
    const int first_column = within / group_rows * kColumns;

    const int begin = place.split * p.k_per_split;
    const int end = min(p.k, begin + p.k_per_split);
    const int count2 = kGather == Gather::kPlain && p.a2 != nullptr && place.split == 0
                           ? (p.k2 + Tile::kDepth - 1) / Tile::kDepth
                           : 0;
    const int count = count2 + (end - begin + Tile::kDepth - 1) / Tile::kDepth;

    RowsOfA<T, kGather, Tile> rows(p, first_row, begin);
    const ColumnsOfB<T, kDepthContiguous, Tile> columns(
        static_cast<const T*>(p.b), p.b_stride_k, p.b_stride_n, p.n, first_column);
    // Where the next step of B begins: its taps may lie apart.
    int tap = begin / p.b_tap_k;
    int k_in_tap = begin - tap * p.b_tap_k;
    int64_t b_offset = tap * p.b_tap_stride + k_in_tap * p.b_stride_k;
    const auto load = [&](int i) {
        const uint32_t stage = base + (i % kStages) * Tile::kStageBytes;
        if (i < count2) {
            const int k = i * Tile::kDepth;
            load_second_a<T, Tile>(p, first_row, k, stage);
            const ColumnsOfB<T, kDepthContiguous, Tile> second(
                static_cast<const T*>(p.b2), p.b2_stride_k, p.b2_stride_n, p.n, first_column);
            second.load(k * p.b2_stride_k, p.k2 - k, stage + Tile::kABytes);
        } else if (i < count) {
            const int left = end - begin - (i - count2) * Tile::kDepth;
            rows.load(p, left, stage);
            columns.load(b_offset, left, stage + Tile::kABytes);
            b_offset += Tile::kDepth * p.b_stride_k;
            if (!kDepthContiguous && kGather != Gather::kPlain) {
                k_in_tap += Tile::kDepth;
                if (k_in_tap >= p.b_tap_k) {
                    k_in_tap = 0;
                    b_offset = ++tap * p.b_tap_stride;
                }
            }
        }
        asm volatile("cp.async.commit_group;\n" ::: "memory");
    };

    float d[kSteps][kStep / 2];
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
        for (int j = 0; j < kStep / 2; ++j) d[s][j] = 0.0F;
    }
#pragma unroll
    for (int i = 0; i < kAhead; ++i) load(i);
    const int warpgroup = static_cast<int>(threadIdx.x) / 128;
    for (int i = 0; i < count; ++i) {
        asm volatile("cp.async.wait_group %0;\n" ::"n"(kAhead - 1) : "memory");
        fence_for_wgmma();
        __syncthreads();  // stage i is there; everybody is done with stage i - 2
        load(i + kAhead);
        const uint32_t stage = base + (i % kStages) * Tile::kStageBytes;
        const uint32_t a = stage + warpgroup * (64 * Tile::kRowBytes);
        const uint32_t b = stage + Tile::kABytes;
        if (i == count2 && count2 > 0) {
            // The second product is done; from here on the first is added to it.
            wgmma_wait<0>();
#pragma unroll
            for (int s = 0; s < kSteps; ++s) {
#pragma unroll
                for (int j = 0; j < kStep / 2; ++j) d[s][j] *= p.alpha2;
            }
        }
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < Tile::kDepth / 16; ++k) {
            const int keep = i + k;
            const uint64_t a_tile = tile_descriptor(a + k * 32, 16, 1024);
#pragma unroll
            for (int s = 0; s < kSteps; ++s) {
                if constexpr (kDepthContiguous) {
                    const uint32_t at = b + s * (kStep * Tile::kRowBytes) + k * 32;
                    wgmma<T, kStep, 0>(d[s], a_tile, tile_descriptor(at, 16, 1024), keep);
                } else {
                    const uint32_t at = b + s * (kStep / 64) * (64 * 128) + k * (16 * 128);
                    wgmma<T, kStep, 1>(d[s], a_tile, tile_descriptor(at, 64 * 128, 1024), keep);
                }
            }
        }
        wgmma_commit();
        wgmma_wait<1>();
    }
    wgmma_wait<0>();
    asm volatile("cp.async.wait_group 0;\n" ::: "memory");
    __syncthreads();
    if (!join_splits<kColumns / 2>(&d[0][0], p.split, place)) return;

    // The result goes through shared memory so that rows are written in 16-byte pieces.
    float* staging = reinterpret_cast<float*>(shared_raw + (base - raw));
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;  // 16 rows each
#pragma unroll
    for (int s = 0; s < kSteps; ++s) {
#pragma unroll
        for (int j = 0; j < kStep / 8; ++j) {
            const int row = warp * 16 + lane / 4;
            const int column = s * kStep + j * 8 + lane % 4 * 2;
            float* upper = staging + row * Tile::kStagingStride + column;
            float* lower = upper + 8 * Tile::kStagingStride;
            *reinterpret_cast<float2*>(upper) = make_float2(d[s][j * 4], d[s][j * 4 + 1]);
            *reinterpret_cast<float2*>(lower) = make_float2(d[s][j * 4 + 2], d[s][j * 4 + 3]);
        }
    }
    __syncwarp();
    constexpr int kPieces = kColumns / 8;
    for (int item = lane; item < 16 * kPieces; item += 32) {
        const int row = warp * 16 + item / kPieces;
        const int n = first_column + item % kPieces * 8;
        const int m = first_row + row;
        if (m >= p.m || n >= p.n) continue;
        const float* sums = staging + row * Tile::kStagingStride + item % kPieces * 8;
        store_eight<T>(p, sums, m, n);
    }
}

}  // namespace lora::cuda
