// The product of product_args.h on tensor cores (mma.sync): tiles travel with cp.async several
// steps ahead, A perhaps gathered from an image on the way.
// Types   bf16 or f16 in, fp32 accumulated, the same type out.
// Needs   kByElements: nothing. Otherwise multiples of 8 elements: lda and k (plain A), channels
//         (gathered A), k and b_stride_n (nk), n and the other strides of B (kn); addresses of A
//         and B multiples of 16 bytes.
// Input gradients of convolutions of stride 2 come by parity (gemm_part.cuh).
// Launch  grid {row tiles * column tiles, 1, splits}, four times as many by parity;
//         kTile.threads() threads, kTile.shared_bytes() of dynamic shared memory.
// Moves   A once per column tile, B once per row tile, dst once.
// Cases   tests/support/cases/product.cpp, lora_bench op linear, conv2d.
#pragma once

#include "backend/cuda/kernels/gemm_part.cuh"

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
template <typename T, ProductTile kTile, bool kParity>
__device__ __forceinline__ void store_sums(const ProductPart<kParity>& part,
                                           const WarpSums<kTile>& sums,
                                           const TilePosition& first,
                                           float* shared) {
    const ProductArgs& p = part.p;
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
            store_product<T>(p, from, part.row_of(m), n, min(8, p.n - n));
        }
    }
}

struct GemmForm {
    Gather gather = Gather::kPlain;
    bool depth_contiguous = true;
    bool by_elements = false;
    bool parity = false;
};

template <typename T, ProductTile kTile, GemmForm kForm>
__device__ __forceinline__ void sum_product(WarpSums<kTile>& sums,
                                            const ProductPart<kForm.parity>& part,
                                            const TilePosition& first,
                                            int begin,
                                            int end) {
    const ProductArgs& p = part.p;
    constexpr bool kByElements = kForm.by_elements;
    const int count = (end - begin + kTile.depth - 1) / kTile.depth;
    LeftLoader<T, kTile, kForm.gather, kByElements> left(p, first.row, begin);
    if constexpr (!kForm.depth_contiguous) {
        DepthLoader<T, kTile.columns, kTile.depth, kTile.threads(), kByElements, kForm.parity>
            right(static_cast<const T*>(p.b), part.places(), first.column, p.n, begin);
        sum_steps<T, kTile, false, true>(sums, count, [&](uint32_t stage) {
            left.load(p, end, stage);
            right.load(end, stage + kTile.left_bytes());
        });
    } else {
        RightLoader<T, kTile, kByElements> right(p, first.column, begin);
        sum_steps<T, kTile, false, false>(sums, count, [&](uint32_t stage) {
            left.load(p, end, stage);
            right.load(p, end, stage + kTile.left_bytes());
        });
    }
}

template <typename T, ProductTile kTile, GemmForm kForm>
__device__ __forceinline__ void gemm(const ProductArgs& args) {
    const BlockPlace place = place_in_grid();
    ProductPart<kForm.parity> part(args, place);
    const ProductArgs& p = part.p;
    if constexpr (kForm.parity) {
        part.p.b = static_cast<const T*>(args.b) + part.first_tap(args, place);
        const int row_tiles = (p.m + kTile.rows - 1) / kTile.rows;
        const int column_tiles = (p.n + kTile.columns - 1) / kTile.columns;
        if (part.tile >= row_tiles * column_tiles) return;  // a smaller part than the largest
    }
    const TilePosition first = tile_position(part.tile, p.m, p.n, kTile.rows, kTile.columns);
    const int begin = place.split * p.k_per_split;
    WarpSums<kTile> sums;
    sum_product<T, kTile, kForm>(sums, part, first, begin, min(p.k, begin + p.k_per_split));
    __syncthreads();
    if (!join_splits<WarpSums<kTile>::kCount>(&sums.at[0][0][0], p.split, place)) return;
    store_sums<T, kTile, kForm.parity>(
        part, sums, first, reinterpret_cast<float*>(dynamic_shared()));
}

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_GEMM_BODY(T, tile, ...) lora::cuda::gemm<T, tile, lora::cuda::GemmForm{__VA_ARGS__}>(p)
#else
#define LORA_GEMM_BODY(...) static_cast<void>(p)  // never launched there
#endif

// gemm_<name>_<kind>_<suffix>; then the form's fields
#define LORA_GEMM(tile, name, kind, suffix, T, ...)                                          \
    extern "C" __global__ void __launch_bounds__(tile.threads(), tile.blocks)                \
        gemm_##name##_##kind##_##suffix(const __grid_constant__ lora::cuda::ProductArgs p) { \
        LORA_GEMM_BODY(T, tile, __VA_ARGS__);                                                \
    }
#define LORA_GEMM_PLAIN(tile, name, by_elements, suffix, T)                                   \
    LORA_GEMM(tile, name, plain_nk, suffix, T, lora::cuda::Gather::kPlain, true, by_elements) \
    LORA_GEMM(tile, name, plain_kn, suffix, T, lora::cuda::Gather::kPlain, false, by_elements)
#define LORA_GEMM_GATHERED(tile, name, by_elements, suffix, T)                                    \
    LORA_GEMM(tile, name, forward_nk, suffix, T, lora::cuda::Gather::kForward, true, by_elements) \
    LORA_GEMM(tile, name, backward_kn, suffix, T, lora::cuda::Gather::kBackward, false, by_elements)
#define LORA_GEMM_PARITY(tile, name, suffix, T) \
    LORA_GEMM(tile, name, parity_kn, suffix, T, lora::cuda::Gather::kBackward, false, false, true)
