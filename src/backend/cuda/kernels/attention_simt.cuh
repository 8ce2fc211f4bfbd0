// Parts of the plain attention kernels: fp32 arithmetic, any head size, any card. They define the
// cuda backend's numbers in fp32 and serve where tensor core kernels do not.
// A block owns `kSize` rows and walks over columns in steps of `kSize`; threads form a square of
// 16, each has kMicro x kMicro scores, rows y + 16 i and columns x + 16 j. Operands come through
// shared memory 32 channels at a time, so its size does not depend on the head size.
#pragma once

#include "backend/cuda/kernels/attention_args.h"
#include "backend/cuda/kernels/common.cuh"

namespace lora::cuda {

inline constexpr int kSimtChunk = 32;  // channels
inline constexpr int kSimtThreads = kSimtSide * kSimtSide;

template <int kMicro>
struct SimtSpace {
    static constexpr int kSize = kSimtSide * kMicro;
    float left[kSize][kSimtChunk + 1];
    float right[kSize][kSimtChunk + 1];
    float scores[kSize][kSize + 1];
};

// One head of tokens [N, T, C], from some row on.
template <typename T>
struct SimtMatrix {
    const T* data;
    int num_rows;
    int num_columns;
    int stride;

    __device__ SimtMatrix(const void* tokens, const AttentionArgs& p, int length, int first_row)
        : num_rows(length - first_row), num_columns(p.head_size), stride(p.heads * p.head_size) {
        const int64_t row = static_cast<int64_t>(blockIdx.y / p.heads) * length + first_row;
        data = static_cast<const T*>(tokens) + row * stride + blockIdx.y % p.heads * p.head_size;
    }
    // 0 outside the matrix.
    __device__ float at(int row, int column) const {
        return row < num_rows && column < num_columns
                   ? to_float(data[static_cast<int64_t>(row) * stride + column])
                   : 0.0F;
    }
};

template <int kSize, typename T>
__device__ __forceinline__ void fill_chunk(float (&dst)[kSize][kSimtChunk + 1],
                                           const SimtMatrix<T>& src,
                                           int column) {
    for (int i = threadIdx.x; i < kSize * kSimtChunk; i += kSimtThreads) {
        dst[i / kSimtChunk][i % kSimtChunk] = src.at(i / kSimtChunk, column + i % kSimtChunk);
    }
}

// s = a b^T
template <int kMicro, typename T>
__device__ __forceinline__ void simt_scores(float (&s)[kMicro][kMicro],
                                            const SimtMatrix<T>& a,
                                            const SimtMatrix<T>& b,
                                            SimtSpace<kMicro>& space) {
    const int x = threadIdx.x % kSimtSide;
    const int y = threadIdx.x / kSimtSide;
    for (int i = 0; i < kMicro; ++i) {
        for (int j = 0; j < kMicro; ++j) s[i][j] = 0;
    }
    for (int first = 0; first < a.num_columns; first += kSimtChunk) {
        __syncthreads();
        fill_chunk(space.left, a, first);
        fill_chunk(space.right, b, first);
        __syncthreads();
#pragma unroll 8
        for (int c = 0; c < kSimtChunk; ++c) {
            float right[kMicro];
#pragma unroll
            for (int j = 0; j < kMicro; ++j) right[j] = space.right[x + kSimtSide * j][c];
#pragma unroll
            for (int i = 0; i < kMicro; ++i) {
                const float left = space.left[y + kSimtSide * i][c];
#pragma unroll
                for (int j = 0; j < kMicro; ++j) s[i][j] = fmaf(left, right[j], s[i][j]);
            }
        }
    }
}

// Sums of a row of the result: channels x and x + 16 of every chunk.
template <int kMicro, int kLimit>
struct SimtSums {
    float at[kMicro][kLimit / kSimtSide];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < kMicro; ++i) {
#pragma unroll
            for (int n = 0; n < kLimit / kSimtSide; ++n) at[i][n] = 0;
        }
    }

    // += p b, with p [kSize, kSize] spread over the block like scores.
    template <typename T>
    __device__ __forceinline__ void add_product(const float (&p)[kMicro][kMicro],
                                                const SimtMatrix<T>& b,
                                                SimtSpace<kMicro>& space) {
        const int x = threadIdx.x % kSimtSide;
        const int y = threadIdx.x / kSimtSide;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < kMicro; ++i) {
#pragma unroll
            for (int j = 0; j < kMicro; ++j) {
                space.scores[y + kSimtSide * i][x + kSimtSide * j] = p[i][j];
            }
        }
#pragma unroll
        for (int chunk = 0; chunk < kLimit / kSimtChunk; ++chunk) {
            if (chunk * kSimtChunk >= b.num_columns) break;
            __syncthreads();
            fill_chunk(space.right, b, chunk * kSimtChunk);
            __syncthreads();
#pragma unroll(kLimit > kSimtSmallLimit ? 1 : 4)
            for (int j = 0; j < SimtSpace<kMicro>::kSize; ++j) {
                const float low = space.right[j][x];
                const float high = space.right[j][x + kSimtSide];
#pragma unroll
                for (int i = 0; i < kMicro; ++i) {
                    const float left = space.scores[y + kSimtSide * i][j];
                    at[i][2 * chunk] = fmaf(left, low, at[i][2 * chunk]);
                    at[i][2 * chunk + 1] = fmaf(left, high, at[i][2 * chunk + 1]);
                }
            }
        }
    }

    // Stores factor[row] * sums to rows of a head from first_row on.
    template <typename T>
    __device__ __forceinline__ void store(void* tokens,
                                          const AttentionArgs& p,
                                          int length,
                                          int first_row,
                                          const float (&factor)[kMicro]) const {
        const SimtMatrix<T> matrix(tokens, p, length, first_row);
        T* dst = const_cast<T*>(matrix.data);
#pragma unroll
        for (int i = 0; i < kMicro; ++i) {
            const int row = threadIdx.x / kSimtSide + kSimtSide * i;
            if (row >= matrix.num_rows) continue;
#pragma unroll
            for (int n = 0; n < kLimit / kSimtSide; ++n) {
                const int column = kSimtSide * n + threadIdx.x % kSimtSide;
                if (column >= p.head_size) break;
                dst[static_cast<int64_t>(row) * matrix.stride + column] =
                    from_float<T>(at[i][n] * factor[i]);
            }
        }
    }
};

// Over the sixteen threads of a row.
__device__ __forceinline__ float side_sum(float x) {
#pragma unroll
    for (int offset = kSimtSide / 2; offset > 0; offset /= 2) {
        x += __shfl_xor_sync(~0U, x, offset);
    }
    return x;
}
__device__ __forceinline__ float side_max(float x) {
#pragma unroll
    for (int offset = kSimtSide / 2; offset > 0; offset /= 2) {
        x = fmaxf(x, __shfl_xor_sync(~0U, x, offset));
    }
    return x;
}

__device__ __forceinline__ bool can_see(const AttentionArgs& p, int query, int key) {
    return query < p.num_queries && key < p.num_keys && (p.causal == 0 || key <= query);
}

}  // namespace lora::cuda

// X(limit, suffix, type) for every plain kernel.
#define LORA_FOR_SIMT(X)        \
    X(160, f32, float)          \
    X(160, bf16, __nv_bfloat16) \
    X(160, f16, __half)         \
    X(512, f32, float)          \
    X(512, bf16, __nv_bfloat16) \
    X(512, f16, __half)
