// The product of product_args.h on Hopper's wgmma. A and B travel with cp.async into 128-byte
// swizzled tiles (A may be gathered from an image on the way), and 64 x 16 slices of A meet
// columns of B in shared memory.
// Types   bf16 or f16 in, fp32 accumulated, the same type out (fp32 into `partial` when split).
// A second product over a thin A2 comes first, so that its sums can be scaled where they are.
// Needs   strides and addresses in multiples of 8 elements; for a gathered A `channels`, and for
//         several taps of B `b_tap_k`, in multiples of 64.
// Launch  grid {tiles of m * tiles of n, 1, splits}, kWarpgroups * 128 threads,
//         HopperTile::kSharedBytes of dynamic shared memory.
// Cases   tests/support/cases/product.cpp (wide ones), lora_bench op linear, conv2d.
#pragma once

#include "backend/cuda/kernels/product_args.h"
#include "backend/cuda/kernels/wgmma.cuh"

namespace lora::cuda {

enum class Gather { kPlain, kForward, kBackward };

template <int kWarpgroups, int kColumns, int kStages>
struct HopperTile {
    static constexpr int kRows = 64 * kWarpgroups;
    static constexpr int kThreads = 128 * kWarpgroups;
    static constexpr int kDepth = 64;
    static constexpr int kRowBytes = kDepth * 2;
    static constexpr int kABytes = kRows * kRowBytes;
    static constexpr int kBBytes = kColumns * kRowBytes;
    static constexpr int kStageBytes = kABytes + kBBytes;
    static constexpr int kStagingStride = kColumns + 4;  // floats; rows of the result on their way
    static constexpr int kPipelineBytes = kStages * kStageBytes;
    static constexpr int kStagingBytes = kRows * kStagingStride * 4;
    static constexpr int kSharedBytes =
        (kPipelineBytes > kStagingBytes ? kPipelineBytes : kStagingBytes) + 1024;
};

__device__ __forceinline__ void copy_16_bytes(uint32_t dst, const void* src, bool valid) {
    const int bytes = valid ? 16 : 0;
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(dst), "l"(src), "r"(bytes));
}

// One thread's rows of A: the same 16-byte column of every kThreads/8-th row.
template <typename T, Gather kGather, typename Tile>
struct RowsOfA {
    static constexpr int kCount = Tile::kRows * 8 / Tile::kThreads;
    const T* base[kCount];  // plain: the row; gathered: its image
    int y[kCount];
    int x[kCount];  // gathered: origin of the window; y far outside where there is no row

    __device__ void start(const ProductArgs& p, int first_row) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const int m = first_row + static_cast<int>(threadIdx.x) / 8 + i * (Tile::kThreads / 8);
            const bool inside = m < p.m;
            const int row = inside ? m : 0;
            if constexpr (kGather == Gather::kPlain) {
                base[i] = static_cast<const T*>(p.a) + static_cast<int64_t>(row) * p.lda;
                y[i] = inside ? 0 : -1;
            } else {
                const int out_x = row % p.out_width;
                const int rest = row / p.out_width;
                const int out_y = rest % p.out_height;
                const int image = rest / p.out_height;
                base[i] = static_cast<const T*>(p.a) +
                          static_cast<int64_t>(image) * p.height * p.width * p.channels;
                const bool forward = kGather == Gather::kForward;
                y[i] = forward ? out_y * p.stride - p.pad_top : out_y + p.pad_top;
                x[i] = forward ? out_x * p.stride - p.pad_left : out_x + p.pad_left;
                if (!inside) y[i] = INT32_MIN / 2;
            }
        }
    }

    // Columns k .. k + 64 of the rows, into the tile at `dst`. `end`: where this split's sum ends.
    __device__ void load(const ProductArgs& p, int k, int end, uint32_t dst) const {
        const int column = static_cast<int>(threadIdx.x) % 8;
        int tap_y = 0;
        int tap_x = 0;
        int offset = k + column * 8;
        if constexpr (kGather != Gather::kPlain) {
            const int tap = k / p.channels;
            tap_y = tap / p.kernel_width;
            tap_x = tap % p.kernel_width;
            offset -= tap * p.channels;
        }
        const bool in_depth = k + column * 8 < end;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const int r = static_cast<int>(threadIdx.x) / 8 + i * (Tile::kThreads / 8);
            const uint32_t to = dst + r * Tile::kRowBytes + ((column ^ (r & 7)) * 16);
            bool valid = in_depth;
            const T* from = base[i];
            if constexpr (kGather == Gather::kPlain) {
                valid = valid && y[i] >= 0;
                from += offset;
            } else {
                int in_y = kGather == Gather::kForward ? y[i] + tap_y : y[i] - tap_y;
                int in_x = kGather == Gather::kForward ? x[i] + tap_x : x[i] - tap_x;
                if (kGather == Gather::kBackward && p.stride > 1) {
                    valid = valid && in_y % p.stride == 0 && in_x % p.stride == 0;
                    in_y = in_y < 0 ? -1 : in_y / p.stride;
                    in_x = in_x < 0 ? -1 : in_x / p.stride;
                }
                valid = valid && in_y >= 0 && in_y < p.height && in_x >= 0 && in_x < p.width;
                from += (static_cast<int64_t>(in_y) * p.width + in_x) * p.channels + offset;
            }
            copy_16_bytes(to, valid ? from : static_cast<const T*>(p.a), valid);
        }
    }
};

// B with k contiguous: the tile's rows are columns n of the product.
// B with n contiguous: the tile is blocks of 64 columns, whose rows are k.
template <typename T, bool kDepthContiguous, typename Tile, int kColumns>
__device__ __forceinline__ void load_b(const T* b,
                                       int64_t stride_k,
                                       int64_t stride_n,
                                       int columns,
                                       int first_column,
                                       int k,
                                       int end,
                                       uint32_t dst) {
    constexpr int kCount = kColumns * 8 / Tile::kThreads;
    const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        if constexpr (kDepthContiguous) {
            const int column = thread % 8;
            const int r = thread / 8 + i * (Tile::kThreads / 8);
            const int n = first_column + r;
            const bool valid = n < columns && k + column * 8 < end;
            const uint32_t to = dst + r * Tile::kRowBytes + ((column ^ (r & 7)) * 16);
            copy_16_bytes(to, valid ? b + n * stride_n + k + column * 8 : b, valid);
        } else {
            constexpr int kChunks = kColumns / 8;  // of one row of k
            const int item = thread + i * Tile::kThreads;
            const int chunk = item % kChunks;
            const int r = item / kChunks;
            const int n = first_column + chunk * 8;
            const bool valid = n < columns && k + r < end;
            const uint32_t to =
                dst + (chunk / 8) * (64 * 128) + r * 128 + (((chunk % 8) ^ (r & 7)) * 16);
            copy_16_bytes(to, valid ? b + (k + r) * stride_k + n : b, valid);
        }
    }
}

// One step of the second product: its A is plain.
template <typename T, bool kDepthContiguous, typename Tile, int kColumns>
__device__ __forceinline__ void load_second(
    const ProductArgs& p, int first_row, int first_column, int k, uint32_t dst) {
    const T* a = static_cast<const T*>(p.a2);
    constexpr int kCount = Tile::kRows * 8 / Tile::kThreads;
    const int column = static_cast<int>(threadIdx.x) % 8;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        const int r = static_cast<int>(threadIdx.x) / 8 + i * (Tile::kThreads / 8);
        const bool valid = first_row + r < p.m && k + column * 8 < p.k2;
        const T* from = a + static_cast<int64_t>(first_row + r) * p.k2 + k + column * 8;
        copy_16_bytes(
            dst + r * Tile::kRowBytes + ((column ^ (r & 7)) * 16), valid ? from : a, valid);
    }
    load_b<T, kDepthContiguous, Tile, kColumns>(static_cast<const T*>(p.b2),
                                                p.b2_stride_k,
                                                p.b2_stride_n,
                                                p.n,
                                                first_column,
                                                k,
                                                p.k2,
                                                dst + Tile::kABytes);
}

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
    constexpr int kStep = kColumns == 64 ? 64 : 128;  // columns of one instruction
    constexpr int kSteps = kColumns / kStep;
    constexpr int kAhead = kStages - 2;
    static_assert(kAhead >= 1);
    extern __shared__ uint8_t shared_raw[];
    const uint32_t raw = shared_address(shared_raw);
    const uint32_t base = (raw + 1023U) & ~1023U;

    // Neighbouring blocks share columns of B in groups of eight row tiles, for the L2 cache.
    const int row_tiles = (p.m + Tile::kRows - 1) / Tile::kRows;
    const int column_tiles = (p.n + kColumns - 1) / kColumns;
    constexpr int kGroup = 8;
    const int in_group = kGroup * column_tiles;
    const int first_tile = static_cast<int>(blockIdx.x) / in_group * kGroup;
    const int group_rows = min(row_tiles - first_tile, kGroup);
    const int within = static_cast<int>(blockIdx.x) % in_group;
    const int first_row = (first_tile + within % group_rows) * Tile::kRows;
    const int first_column = within / group_rows * kColumns;

    const int begin = static_cast<int>(blockIdx.z) * p.k_per_split;
    const int end = min(p.k, begin + p.k_per_split);
    const int count2 = kGather == Gather::kPlain && p.a2 != nullptr && blockIdx.z == 0
                           ? (p.k2 + Tile::kDepth - 1) / Tile::kDepth
                           : 0;
    const int count = count2 + (end - begin + Tile::kDepth - 1) / Tile::kDepth;

    RowsOfA<T, kGather, Tile> rows;
    rows.start(p, first_row);
    const auto load = [&](int i) {
        const uint32_t stage = base + (i % kStages) * Tile::kStageBytes;
        if (i < count2) {
            load_second<T, kDepthContiguous, Tile, kColumns>(
                p, first_row, first_column, i * Tile::kDepth, stage);
        } else if (i < count) {
            const int k = begin + (i - count2) * Tile::kDepth;
            rows.load(p, k, end, stage);
            const T* b = static_cast<const T*>(p.b);
            int k_in_b = k;
            if constexpr (!kDepthContiguous) {
                const int tap = k / p.b_tap_k;
                b += tap * p.b_tap_stride;
                k_in_b -= tap * p.b_tap_k;
            }
            load_b<T, kDepthContiguous, Tile, kColumns>(b,
                                                        p.b_stride_k,
                                                        p.b_stride_n,
                                                        p.n,
                                                        first_column,
                                                        k_in_b,
                                                        k_in_b + end - k,
                                                        stage + Tile::kABytes);
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
        if (p.partial != nullptr) {
            float* to = p.partial + (static_cast<int64_t>(blockIdx.z) * p.m + m) * p.n + n;
            reinterpret_cast<float4*>(to)[0] = reinterpret_cast<const float4*>(sums)[0];
            reinterpret_cast<float4*>(to)[1] = reinterpret_cast<const float4*>(sums)[1];
        } else {
            store_eight<T>(p, sums, m, n);
        }
    }
}

}  // namespace lora::cuda
