// Elementwise products of matrices of low rank (LoHa), and the gradients of their factors. The
// products live in registers; of [rows, cols] only dst is written, or d read.
//   hadamard[_elements]_<bf16|f16>                          kHadamardTile a block
//   hadamard_backward_<rows|columns>[_elements]_<bf16|f16>  64 rows (columns) of d and kHadamardOwn
//                                       ranks a block, the other axis in steps of 64 and in splits
//   hadamard_simt_<f32|f16>, hadamard_backward_simt_<rows|columns>_<f32|f16>  any card
// Types   bf16 or f16 in (f32: simt), fp32 accumulated; own is rounded to the input's type.
// Needs   without _elements: ranks and cols in multiples of 8, addresses of 16 bytes.
// Cases   tests/support/cases/hadamard.cpp
#include "backend/cuda/kernels/gemm.cuh"
#include "backend/cuda/kernels/hadamard_args.h"

namespace lora::cuda {

constexpr int kThreads = kHadamardTile.threads();

struct Factors {
    const void* a;
    const void* b;
    int rows;
    int cols;
    int rank;
};

// The tile of a b from (row, column) on. Ends with shared memory in use: a barrier must follow.
template <typename T, bool kByElements>
__device__ __forceinline__ void multiply_factors(WarpSums<kHadamardTile>& sums,
                                                 const Factors& f,
                                                 int row,
                                                 int column) {
    ProductArgs left;
    left.b = f.a;
    left.b_stride_n = f.rank;
    left.n = f.rows;
    RightLoader<T, kHadamardTile, kByElements> from_a(left, row, 0);
    DepthLoader<T, kHadamardTile.columns, kHadamardTile.depth, kThreads, kByElements> from_b(
        static_cast<const T*>(f.b), {f.rank, 0, f.cols}, column, f.cols, 0);
    const int count = (f.rank + kHadamardTile.depth - 1) / kHadamardTile.depth;
    sum_steps<T, kHadamardTile, false, true>(sums, count, [&](uint32_t stage) {
        from_a.load(left, f.rank, stage);
        from_b.load(f.rank, stage + kHadamardTile.left_bytes());
    });
}

template <typename T, bool kByElements>
__device__ __forceinline__ void hadamard(const HadamardArgs& p) {
    using Sums = WarpSums<kHadamardTile>;
    const TilePosition first = tile_position(
        static_cast<int>(blockIdx.x), p.rows, p.cols, kHadamardTile.rows, kHadamardTile.columns);
    Sums sums;
    multiply_factors<T, kByElements>(
        sums, {p.a1, p.b1, p.rows, p.cols, p.rank1}, first.row, first.column);
    __syncthreads();
    Sums second;
    multiply_factors<T, kByElements>(
        second, {p.a2, p.b2, p.rows, p.cols, p.rank2}, first.row, first.column);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Sums::kRowTiles; ++i) {
#pragma unroll
        for (int j = 0; j < Sums::kColumnTiles; ++j) {
#pragma unroll
            for (int e = 0; e < 4; ++e) sums.at[i][j][e] *= second.at[i][j][e];
        }
    }
    ProductArgs out;
    out.dst = p.dst;
    out.m = p.rows;
    out.n = out.ldd = p.cols;
    out.alpha = p.alpha;
    out.wide = p.wide;
    const ProductPart<false> whole(out, {});
    store_sums<T, kHadamardTile>(whole, sums, first, reinterpret_cast<float*>(dynamic_shared()));
}

// d's elements where a thread has its sums: pairs side by side.
template <typename T>
struct OwnPairs {
    using Sums = WarpSums<kHadamardTile>;
    Vector<T, 2> at[Sums::kRowTiles][Sums::kColumnTiles][2];

    __device__ __forceinline__ void load(const HadamardBackwardArgs& p, int row, int column) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
        const T* d = static_cast<const T*>(p.d);
#pragma unroll
        for (int i = 0; i < Sums::kRowTiles; ++i) {
#pragma unroll
            for (int j = 0; j < Sums::kColumnTiles; ++j) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const int y =
                        row + warp_first_row<kHadamardTile>() + i * 16 + lane / 4 + half * 8;
                    const int x =
                        column + warp_first_column<kHadamardTile>() + j * 8 + lane % 4 * 2;
                    const T* from = d + static_cast<int64_t>(y) * p.cols + x;
                    Vector<T, 2>& pair = at[i][j][half];
                    if (p.pairs != 0 && y < p.rows && x < p.cols) {
                        pair = *reinterpret_cast<const Vector<T, 2>*>(from);
                    } else {
#pragma unroll
                        for (int e = 0; e < 2; ++e) {
                            pair.at[e] =
                                y < p.rows && x + e < p.cols ? from[e] : from_float<T>(0.0F);
                        }
                    }
                }
            }
        }
    }

    // own = d * sums as a tile [64, 64] at `dst`.
    __device__ __forceinline__ void store_own(const Sums& sums, uint32_t dst) const {
        const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
        for (int i = 0; i < Sums::kRowTiles; ++i) {
#pragma unroll
            for (int j = 0; j < Sums::kColumnTiles; ++j) {
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const int y = warp_first_row<kHadamardTile>() + i * 16 + lane / 4 + half * 8;
                    const int x = warp_first_column<kHadamardTile>() + j * 8 + lane % 4 * 2;
                    const Vector<T, 2>& pair = at[i][j][half];
                    const uint32_t bits =
                        Mma<T>::pair(to_float(pair.at[0]) * sums.at[i][j][half * 2],
                                     to_float(pair.at[1]) * sums.at[i][j][half * 2 + 1]);
                    const uint32_t to = dst + unit_offset<8>(y, x / 8) + x % 8 * 2;
                    asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(bits) : "memory");
                }
            }
        }
    }
};

template <typename T, bool kRows, bool kByElements>
__device__ __forceinline__ void hadamard_backward(const HadamardBackwardArgs& p) {
    constexpr ProductTile kOwn = kRows ? kHadamardRows : kHadamardColumns;
    constexpr int kStep = 64;
    const BlockPlace place = place_in_grid();
    const int chunks = (p.own_rank + kHadamardOwn - 1) / kHadamardOwn;
    const int first_own = place.tile % chunks * kHadamardOwn;
    const int fixed = place.tile / chunks * kStep;
    const int begin = place.split * p.steps_per_split * kStep;
    const int end = min(kRows ? p.cols : p.rows, begin + p.steps_per_split * kStep);

    const uint32_t own =
        shared_address(dynamic_shared()) + kHadamardTile.stages * kHadamardTile.stage_bytes();
    const uint32_t partner = own + kStep * kStep * 2;
    ProductArgs right;
    right.b = p.partner;
    right.b_stride_n = p.cols;
    right.n = p.own_rank;
    auto from_partner = [&] {
        if constexpr (kRows) {
            return RightLoader<T, kOwn, kByElements>(right, first_own, begin);
        } else {
            return DepthLoader<T, kHadamardOwn, kStep, kThreads, kByElements>(
                static_cast<const T*>(p.partner),
                {p.rows, 0, p.own_rank},
                first_own,
                p.own_rank,
                begin);
        }
    }();
    WarpSums<kOwn> result;
    result.clear();
    for (int at = begin; at < end; at += kStep) {
        const int row = kRows ? fixed : at;
        const int column = kRows ? at : fixed;
        __syncthreads();  // nobody reads the step before
        if constexpr (kRows) {
            from_partner.load(right, p.cols, partner);
        } else {
            from_partner.load(p.rows, partner);
        }
        copies_commit();
        OwnPairs<T> pairs;
        pairs.load(p, row, column);
        WarpSums<kHadamardTile> sums;
        multiply_factors<T, kByElements>(sums, {p.a, p.b, p.rows, p.cols, p.rank}, row, column);
        pairs.store_own(sums, own);
        __syncthreads();
        if constexpr (kRows) {
            multiply_tiles<T, kOwn, false, false>(result, own, partner);
        } else {
            multiply_tiles<T, kOwn, true, true>(result, partner, own);
        }
    }
    if (!join_splits<WarpSums<kOwn>::kCount>(&result.at[0][0][0], p.split, place)) return;

    const int out_rows = kRows ? p.rows : p.own_rank;
    const int out_cols = kRows ? p.own_rank : p.cols;
    each_sum(result, [&](int row, int column, float sum) {
        const int y = (kRows ? fixed : first_own) + row;
        const int x = (kRows ? first_own : fixed) + column;
        if (y >= out_rows || x >= out_cols) return;
        float* to = p.dst + static_cast<int64_t>(y) * out_cols + x;
        const float v = p.alpha * sum;
        *to = p.accumulate != 0 ? *to + v : v;
    });
}

template <typename T>
__device__ __forceinline__ float product_at(
    const void* a, const void* b, int64_t row, int64_t column, int rank, int cols) {
    const T* left = static_cast<const T*>(a) + row * rank;
    const T* right = static_cast<const T*>(b) + column;
    float sum = 0.0F;
    for (int i = 0; i < rank; ++i) {
        sum += to_float(left[i]) * to_float(right[static_cast<int64_t>(i) * cols]);
    }
    return sum;
}

// An element a thread.
template <typename T>
__device__ __forceinline__ void hadamard_simt(const HadamardArgs& p) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= static_cast<int64_t>(p.rows) * p.cols) return;
    const int64_t row = i / p.cols;
    const int64_t column = i - row * p.cols;
    const float first = product_at<T>(p.a1, p.b1, row, column, p.rank1, p.cols);
    const float second = product_at<T>(p.a2, p.b2, row, column, p.rank2, p.cols);
    static_cast<T*>(p.dst)[i] = from_float<T>(p.alpha * first * second);
}

// A row of d a block: its threads make own a stretch at a time, then each sums for ranks.
template <typename T>
__device__ __forceinline__ void hadamard_backward_simt_rows(const HadamardBackwardArgs& p) {
    __shared__ float own[kHadamardSimtThreads];
    const int64_t row = blockIdx.x;
    const T* d = static_cast<const T*>(p.d) + row * p.cols;
    const T* partner = static_cast<const T*>(p.partner);
    for (int first = 0; first < p.own_rank; first += kHadamardSimtThreads) {
        const int rank = first + static_cast<int>(threadIdx.x);
        float sum = 0.0F;
        for (int at = 0; at < p.cols; at += kHadamardSimtThreads) {
            const int column = at + static_cast<int>(threadIdx.x);
            __syncthreads();
            own[threadIdx.x] =
                column < p.cols
                    ? to_float(d[column]) * product_at<T>(p.a, p.b, row, column, p.rank, p.cols)
                    : 0.0F;
            __syncthreads();
            if (rank >= p.own_rank) continue;
            const int count = min(kHadamardSimtThreads, p.cols - at);
            for (int i = 0; i < count; ++i) {
                sum += own[i] * to_float(partner[static_cast<int64_t>(rank) * p.cols + at + i]);
            }
        }
        if (rank >= p.own_rank) continue;
        float* to = p.dst + row * p.own_rank + rank;
        *to = p.accumulate != 0 ? *to + p.alpha * sum : p.alpha * sum;
    }
}

// A column of d a thread, kHadamardSimtOwn ranks a block.
template <typename T>
__device__ __forceinline__ void hadamard_backward_simt_columns(const HadamardBackwardArgs& p) {
    const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (column >= p.cols) return;
    const int first = static_cast<int>(blockIdx.y) * kHadamardSimtOwn;
    const T* d = static_cast<const T*>(p.d);
    const T* partner = static_cast<const T*>(p.partner);
    float sums[kHadamardSimtOwn] = {};
    for (int64_t row = 0; row < p.rows; ++row) {
        const float own = to_float(d[row * p.cols + column]) *
                          product_at<T>(p.a, p.b, row, column, p.rank, p.cols);
#pragma unroll
        for (int i = 0; i < kHadamardSimtOwn; ++i) {
            if (first + i < p.own_rank) {
                sums[i] += own * to_float(partner[row * p.own_rank + first + i]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < kHadamardSimtOwn; ++i) {
        if (first + i >= p.own_rank) continue;
        float* to = p.dst + static_cast<int64_t>(first + i) * p.cols + column;
        *to = p.accumulate != 0 ? *to + p.alpha * sums[i] : p.alpha * sums[i];
    }
}

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_HADAMARD_BODY(...) lora::cuda::__VA_ARGS__(p)
#else
#define LORA_HADAMARD_BODY(...) static_cast<void>(p)  // never launched there
#endif

#define LORA_HADAMARD(name, args, ...)                                             \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kThreads,             \
                                                 lora::cuda::kHadamardTile.blocks) \
        name(const __grid_constant__ lora::cuda::args p) {                         \
        LORA_HADAMARD_BODY(__VA_ARGS__);                                           \
    }
#define LORA_HADAMARD_TYPES(suffix, T)                                                            \
    LORA_HADAMARD(hadamard_##suffix, HadamardArgs, hadamard<T, false>)                            \
    LORA_HADAMARD(hadamard_elements_##suffix, HadamardArgs, hadamard<T, true>)                    \
    LORA_HADAMARD(                                                                                \
        hadamard_backward_rows_##suffix, HadamardBackwardArgs, hadamard_backward<T, true, false>) \
    LORA_HADAMARD(hadamard_backward_rows_elements_##suffix,                                       \
                  HadamardBackwardArgs,                                                           \
                  hadamard_backward<T, true, true>)                                               \
    LORA_HADAMARD(hadamard_backward_columns_##suffix,                                             \
                  HadamardBackwardArgs,                                                           \
                  hadamard_backward<T, false, false>)                                             \
    LORA_HADAMARD(hadamard_backward_columns_elements_##suffix,                                    \
                  HadamardBackwardArgs,                                                           \
                  hadamard_backward<T, false, true>)
LORA_HADAMARD_TYPES(bf16, __nv_bfloat16)
LORA_HADAMARD_TYPES(f16, __half)

#define LORA_HADAMARD_SIMT(suffix, T)                                                \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kHadamardSimtThreads)   \
        hadamard_simt_##suffix(const __grid_constant__ lora::cuda::HadamardArgs p) { \
        lora::cuda::hadamard_simt<T>(p);                                             \
    }                                                                                \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kHadamardSimtThreads)   \
        hadamard_backward_simt_rows_##suffix(                                        \
            const __grid_constant__ lora::cuda::HadamardBackwardArgs p) {            \
        lora::cuda::hadamard_backward_simt_rows<T>(p);                               \
    }                                                                                \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kHadamardSimtThreads)   \
        hadamard_backward_simt_columns_##suffix(                                     \
            const __grid_constant__ lora::cuda::HadamardBackwardArgs p) {            \
        lora::cuda::hadamard_backward_simt_columns<T>(p);                            \
    }
LORA_HADAMARD_SIMT(f32, float)
LORA_HADAMARD_SIMT(f16, __half)
