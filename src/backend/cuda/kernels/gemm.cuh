// The product of product_args.h on tensor cores (mma.sync): tiles travel with cp.async several
// steps ahead, A perhaps gathered from an image on the way.
// Types   bf16 or f16 in, fp32 accumulated, the same type out.
// Needs   kByElements: nothing. Otherwise multiples of 8 elements: lda and k (plain A), channels
//         (gathered A), k and b_stride_n (nk), n and the other strides of B (kn); addresses of A
//         and B multiples of 16 bytes.
// Launch  grid {row tiles * column tiles, 1, splits}, kTile.threads() threads,
//         kTile.shared_bytes() of dynamic shared memory.
// Moves   A once per column tile, B once per row tile, dst once.
// Cases   tests/support/cases/product.cpp, lora_bench op linear, conv2d.
#pragma once

#include "backend/cuda/kernels/gemm_load.cuh"
#include "backend/cuda/kernels/split_sum.cuh"

namespace lora::cuda {

// alpha * sums + bias + addend of `count` neighbours (8 when wide) of one row, rounded once.
template <typename T>
__device__ __forceinline__ void store_product(
    const ProductArgs& p, const float* sums, int m, int n, int count) {
    const int64_t at = static_cast<int64_t>(m) * p.ldd + n;
    const T* bias = static_cast<const T*>(p.bias);
    const T* addend = static_cast<const T*>(p.addend);
    T* dst = static_cast<T*>(p.dst);
    if (p.wide == 0) {
        for (int e = 0; e < count; ++e) {
            float v = p.alpha * sums[e];
            if (bias != nullptr) v += to_float(bias[n + e]);
            if (addend != nullptr) v += to_float(addend[at + e]);
            dst[at + e] = from_float<T>(v);
        }
        return;
    }
    using Eight = Vector<T, 8>;
    float v[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) v[e] = p.alpha * sums[e];
    if (bias != nullptr) {
        const Eight add = *reinterpret_cast<const Eight*>(bias + n);
#pragma unroll
        for (int e = 0; e < 8; ++e) v[e] += to_float(add.at[e]);
    }
    if (addend != nullptr) {
        const Eight add = *reinterpret_cast<const Eight*>(addend + at);
#pragma unroll
        for (int e = 0; e < 8; ++e) v[e] += to_float(add.at[e]);
    }
    Eight result;
#pragma unroll
    for (int e = 0; e < 8; ++e) result.at[e] = from_float<T>(v[e]);
    *reinterpret_cast<Eight*>(dst + at) = result;
}

// The sums pass through shared memory, 16 rows a warp, so that rows are written in long pieces.
template <typename T, ProductTile kTile>
__device__ __forceinline__ void store_sums(const ProductArgs& p,
                                           const WarpSums<kTile>& sums,
                                           const TilePosition& first,
                                           float* shared) {
    using Sums = WarpSums<kTile>;
    constexpr int kStride = kTile.staging_stride();
    constexpr int kPieces = kTile.warp_columns() / 8;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* staging = shared + static_cast<int>(threadIdx.x) / 32 * 16 * kStride;
    const int first_row = first.row + warp_first_row<kTile>();
    const int first_column = first.column + warp_first_column<kTile>();
#pragma unroll
    for (int i = 0; i < Sums::kRowTiles; ++i) {
        __syncwarp();  // the rows before have left
#pragma unroll
        for (int j = 0; j < Sums::kColumnTiles; ++j) {
            const float(&c)[4] = sums.at[i][j];
            float* to = staging + lane / 4 * kStride + j * 8 + lane % 4 * 2;
            *reinterpret_cast<float2*>(to) = make_float2(c[0], c[1]);
            *reinterpret_cast<float2*>(to + 8 * kStride) = make_float2(c[2], c[3]);
        }
        __syncwarp();
#pragma unroll
        for (int piece = lane; piece < 16 * kPieces; piece += 32) {
            const int m = first_row + i * 16 + piece / kPieces;
            const int n = first_column + piece % kPieces * 8;
            if (m >= p.m || n >= p.n) continue;
            const float* from = staging + piece / kPieces * kStride + piece % kPieces * 8;
            store_product<T>(p, from, m, n, min(8, p.n - n));
        }
    }
}

template <typename T, ProductTile kTile, Gather kGather, bool kDepthContiguous, bool kByElements>
__device__ __forceinline__ void gemm(const ProductArgs& p) {
    unsigned char* shared = dynamic_shared();
    const BlockPlace place = place_in_grid();
    const TilePosition first = tile_position(place.tile, p.m, p.n, kTile.rows, kTile.columns);
    const int begin = place.split * p.k_per_split;
    const int end = min(p.k, begin + p.k_per_split);
    const int count = (end - begin + kTile.depth - 1) / kTile.depth;

    LeftLoader<T, kTile, kGather, kByElements> left(p, first.row, begin);
    auto right = [&] {
        if constexpr (kDepthContiguous) {
            return RightLoader<T, kTile, kByElements>(p, first.column, begin);
        } else {
            const RowPlaces places{p.b_tap_k, p.b_tap_stride, p.b_stride_k};
            return DepthLoader<T, kTile.columns, kTile.depth, kTile.threads(), kByElements>(
                static_cast<const T*>(p.b), places, first.column, p.n, begin);
        }
    }();
    WarpSums<kTile> sums;
    sum_steps<T, kTile, false, !kDepthContiguous>(sums, count, [&](uint32_t stage) {
        left.load(p, end, stage);
        if constexpr (kDepthContiguous) {
            right.load(p, end, stage + kTile.left_bytes());
        } else {
            right.load(end, stage + kTile.left_bytes());
        }
    });
    __syncthreads();
    if (!join_splits<WarpSums<kTile>::kCount>(&sums.at[0][0][0], p.split, place)) return;
    store_sums<T, kTile>(p, sums, first, reinterpret_cast<float*>(shared));
}

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_GEMM_BODY(...) lora::cuda::gemm<__VA_ARGS__>(p)
#else
#define LORA_GEMM_BODY(...) static_cast<void>(p)  // never launched there
#endif

// gemm_<name>_<gather>_<b>_<suffix>
#define LORA_GEMM(tile, name, by_elements, gather, kind, b, contiguous, suffix, T)  \
    extern "C" __global__ void __launch_bounds__(tile.threads(), tile.blocks)       \
        gemm_##name##_##gather##_##b##_##suffix(                                    \
            const __grid_constant__ lora::cuda::ProductArgs p) {                    \
        LORA_GEMM_BODY(T, tile, lora::cuda::Gather::kind, contiguous, by_elements); \
    }
#define LORA_GEMM_PLAIN(tile, name, by_elements, suffix, T)                \
    LORA_GEMM(tile, name, by_elements, plain, kPlain, nk, true, suffix, T) \
    LORA_GEMM(tile, name, by_elements, plain, kPlain, kn, false, suffix, T)
#define LORA_GEMM_GATHERED(tile, name, by_elements, suffix, T)                 \
    LORA_GEMM(tile, name, by_elements, forward, kForward, nk, true, suffix, T) \
    LORA_GEMM(tile, name, by_elements, backward, kBackward, kn, false, suffix, T)
