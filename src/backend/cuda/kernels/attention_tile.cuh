// Parts of the tensor core attention kernels: operands in registers and shared memory, and the two
// kinds of products between them. D is the head size, a multiple of 8; nothing is padded: a depth
// that is not a multiple of 16 ends in an instruction of depth 8.
#pragma once

#include "backend/cuda/kernels/attention_args.h"
#include "backend/cuda/kernels/tensor_core.cuh"

namespace lora::cuda {

// 2^x to two units in the last place; 0 below 2^-126.
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Over the four lanes that hold one row of a fragment.
__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(~0U, x, 1);
    return x + __shfl_xor_sync(~0U, x, 2);
}
__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(~0U, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0U, x, 2));
}

inline constexpr float kLog2E = 1.4426950408889634F;
inline constexpr float kLn2 = 0.6931471805599453F;

// First element of a head of tokens [N, T, C].
template <typename T>
__device__ __forceinline__ T* head_of(T* tokens, const AttentionArgs& p, int length) {
    const int sample = blockIdx.y / p.heads;
    const int head = blockIdx.y % p.heads;
    return tokens + (static_cast<int64_t>(sample) * length * p.heads + head) * p.head_size;
}

// 16 rows [16, D] as the left operand of products.
template <int D>
struct RowFragment {
    uint32_t depth_16[D / 16 > 0 ? D / 16 : 1][4];
    uint32_t depth_8[2];  // the last 8 columns, if D is not a multiple of 16
};

template <typename T>
__device__ __forceinline__ uint32_t load_pair(const T* src, bool valid) {
    return valid ? *reinterpret_cast<const uint32_t*>(src) : 0U;
}

// Rows from src on, of which num_rows exist; the rest become zero.
template <typename T, int D>
__device__ __forceinline__ void load_rows(RowFragment<D>& dst,
                                          const T* src,
                                          int num_rows,
                                          int stride) {
    const int lane = threadIdx.x % 32;
    const int row = lane / 4;
    const T* upper = src + static_cast<int64_t>(row) * stride + lane % 4 * 2;
    const T* lower = upper + 8 * static_cast<int64_t>(stride);
    const bool has_upper = row < num_rows;
    const bool has_lower = row + 8 < num_rows;
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
        dst.depth_16[i][0] = load_pair(upper + 16 * i, has_upper);
        dst.depth_16[i][1] = load_pair(lower + 16 * i, has_lower);
        dst.depth_16[i][2] = load_pair(upper + 16 * i + 8, has_upper);
        dst.depth_16[i][3] = load_pair(lower + 16 * i + 8, has_lower);
    }
    if constexpr (D % 16 != 0) {
        dst.depth_8[0] = load_pair(upper + D - 8, has_upper);
        dst.depth_8[1] = load_pair(lower + D - 8, has_lower);
    }
}

// Left operand held in registers.
template <int D, int kTiles>
struct HeldRows {
    RowFragment<D> tiles[kTiles];

    __device__ __forceinline__ void get_16(uint32_t (&dst)[4], int tile, int i) const {
#pragma unroll
        for (int e = 0; e < 4; ++e) dst[e] = tiles[tile].depth_16[i][e];
    }
    __device__ __forceinline__ void get_8(uint32_t (&dst)[2], int tile) const {
        dst[0] = tiles[tile].depth_8[0];
        dst[1] = tiles[tile].depth_8[1];
    }
};

// A matrix [rows, D] in shared memory as seen by one lane: addresses of the row it names to
// ldmatrix.
template <int D>
struct SharedMatrix {
    static constexpr int kStride = attention_stride(D);

    uint32_t base = 0;

    __device__ __forceinline__ explicit SharedMatrix(uint32_t address) : base(address) {}
    // Four matrices: down, then right.
    __device__ __forceinline__ uint32_t down_right(int row, int column) const {
        const int lane = threadIdx.x % 32;
        return base + 2 * ((lane % 16 + row) * kStride + lane / 16 * 8 + column);
    }
    // Four matrices: right, then down.
    __device__ __forceinline__ uint32_t right_down(int row, int column) const {
        const int lane = threadIdx.x % 32;
        return base + 2 * ((lane / 16 * 8 + lane % 8 + row) * kStride + lane / 8 % 2 * 8 + column);
    }
};

// Left operand held in shared memory.
template <int D, int kTiles>
struct SharedRows {
    SharedMatrix<D> matrix;  // from the warp's first row on

    __device__ __forceinline__ void get_16(uint32_t (&dst)[4], int tile, int i) const {
        load_4_matrices(dst, matrix.down_right(16 * tile, 16 * i));
    }
    __device__ __forceinline__ void get_8(uint32_t (&dst)[2], int tile) const {
        load_2_matrices(dst, matrix.down_right(16 * tile, D - 8));
    }
};

// Starts copying rows [kRows, D] to shared memory; rows from num_rows on become zero.
template <typename T, int D, int kRows, int kThreads>
__device__ __forceinline__ void copy_matrix(uint32_t dst, const T* src, int num_rows, int stride) {
    constexpr int kUnits = D / 8;
#pragma unroll
    for (int first = 0; first < kRows * kUnits; first += kThreads) {
        const int unit = first + static_cast<int>(threadIdx.x);
        if (kRows * kUnits % kThreads != 0 && unit >= kRows * kUnits) break;
        const int row = unit / kUnits;
        const int column = unit % kUnits * 8;
        const bool valid = row < num_rows;
        const T* from = valid ? src + static_cast<int64_t>(row) * stride + column : src;
        copy_16(dst + 2 * (row * attention_stride(D) + column), from, valid);
    }
}

template <int kTiles, int kColumns>
using Scores = float[kTiles][kColumns / 8][4];

template <int kTiles, int kColumns>
__device__ __forceinline__ void clear(Scores<kTiles, kColumns>& c) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
            for (int e = 0; e < 4; ++e) c[tile][n][e] = 0;
        }
    }
}

// c [rows, kColumns] += a [rows, D] b^T with b [kColumns, D] in shared memory.
template <typename T, int D, int kTiles, int kColumns, typename Rows>
__device__ __forceinline__ void multiply_transposed(Scores<kTiles, kColumns>& c,
                                                    const Rows& a,
                                                    const SharedMatrix<D>& b) {
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
        uint32_t left[kTiles][4];
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) a.get_16(left[tile], tile, i);
#pragma unroll
        for (int n = 0; n < kColumns / 8; n += 2) {
            uint32_t right[4];
            load_4_matrices(right, b.right_down(8 * n, 16 * i));
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                Mma<T>::depth_16(c[tile][n], left[tile], right[0], right[1]);
                Mma<T>::depth_16(c[tile][n + 1], left[tile], right[2], right[3]);
            }
        }
    }
    if constexpr (D % 16 != 0) {
        uint32_t left[kTiles][2];
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) a.get_8(left[tile], tile);
#pragma unroll
        for (int n = 0; n < kColumns / 8; n += 2) {
            uint32_t right[2];
            load_2_matrices(right, b.down_right(8 * n, D - 8));
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                Mma<T>::depth_8(c[tile][n], left[tile], right[0]);
                Mma<T>::depth_8(c[tile][n + 1], left[tile], right[1]);
            }
        }
    }
}

// c [rows, D] += a [rows, kColumns] b with b [kColumns, D] in shared memory; a is rounded to T.
template <typename T, int D, int kTiles, int kColumns>
__device__ __forceinline__ void multiply(Scores<kTiles, D>& c,
                                         const Scores<kTiles, kColumns>& a,
                                         const SharedMatrix<D>& b) {
#pragma unroll
    for (int i = 0; i < kColumns / 16; ++i) {
        uint32_t left[kTiles][4];
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const float(&pair)[4] = a[tile][2 * i + e / 2];
                left[tile][e] = Mma<T>::pair(pair[e % 2 * 2], pair[e % 2 * 2 + 1]);
            }
        }
#pragma unroll
        for (int n = 0; n + 1 < D / 8; n += 2) {
            uint32_t right[4];
            load_4_matrices<true>(right, b.down_right(16 * i, 8 * n));
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                Mma<T>::depth_16(c[tile][n], left[tile], right[0], right[1]);
                Mma<T>::depth_16(c[tile][n + 1], left[tile], right[2], right[3]);
            }
        }
        if constexpr (D % 16 != 0) {
            uint32_t right[2];
            load_2_matrices<true>(right, b.down_right(16 * i, D - 8));
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                Mma<T>::depth_16(c[tile][D / 8 - 1], left[tile], right[0], right[1]);
            }
        }
    }
}

// Scores a query may not see become -inf. `query` and `key` are those of element (0, 0).
template <int kTiles, int kColumns>
__device__ __forceinline__ void hide_scores(
    Scores<kTiles, kColumns>& s, int query, int key, int num_keys, bool causal) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int i = query + 16 * tile + lane / 4 + e / 2 * 8;
                const int j = key + 8 * n + lane % 4 * 2 + e % 2;
                if (j >= num_keys || (causal && j > i)) s[tile][n][e] = -INFINITY;
            }
        }
    }
}

// Stores factor[row] * c to rows of dst, of which num_rows exist.
template <typename T, int D, int kTiles>
__device__ __forceinline__ void store_rows(T* dst,
                                           const Scores<kTiles, D>& c,
                                           const float (&factor)[kTiles][2],
                                           int num_rows,
                                           int stride) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = 16 * tile + 8 * half + lane / 4;
            if (row >= num_rows) continue;
            T* to = dst + static_cast<int64_t>(row) * stride + lane % 4 * 2;
#pragma unroll
            for (int n = 0; n < D / 8; ++n) {
                const float low = c[tile][n][2 * half] * factor[tile][half];
                const float high = c[tile][n][2 * half + 1] * factor[tile][half];
                if constexpr (sizeof(T) == 4) {
                    *reinterpret_cast<float2*>(to + 8 * n) = make_float2(low, high);
                } else {
                    *reinterpret_cast<uint32_t*>(to + 8 * n) = Mma<T>::pair(low, high);
                }
            }
        }
    }
}

// Warps that share rows ("slices") are joined in their order, into the first of them: each other
// one puts its sums into `space`, [slices - 1, groups, D / 8 * kTiles, 32] float4 in shared memory.
template <int D, int kTiles>
__device__ __forceinline__ float4* joint_of(float4* space, int slice, int groups, int group) {
    constexpr int kVectors = D / 8 * kTiles;
    return space + ((slice - 1) * groups + group) * kVectors * 32 + threadIdx.x % 32;
}

template <int D, int kTiles>
__device__ __forceinline__ void put_joint(float4* space, const Scores<kTiles, D>& c) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
            const float(&x)[4] = c[tile][n];
            space[(tile * (D / 8) + n) * 32] = make_float4(x[0], x[1], x[2], x[3]);
        }
    }
}

// c = own * c + other * the put one, by rows.
template <int D, int kTiles>
__device__ __forceinline__ void add_joint(Scores<kTiles, D>& c,
                                          const float4* space,
                                          const float (&own)[kTiles][2],
                                          const float (&other)[kTiles][2]) {
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
            const float4 x = space[(tile * (D / 8) + n) * 32];
            float(&y)[4] = c[tile][n];
            y[0] = own[tile][0] * y[0] + other[tile][0] * x.x;
            y[1] = own[tile][0] * y[1] + other[tile][0] * x.y;
            y[2] = own[tile][1] * y[2] + other[tile][1] * x.z;
            y[3] = own[tile][1] * y[3] + other[tile][1] * x.w;
        }
    }
}

}  // namespace lora::cuda
