// Elementwise products of matrices of low rank and the gradients of their factors without tensor
// cores, for any card and any rank: hadamard.cu's, an element of the result a thread.
//   hadamard_simt_<f32|bf16|f16>
//   hadamard_backward_simt_<rows|columns>_<f32|bf16|f16>
// Types   fp32 accumulated
// Cases   tests/support/cases/hadamard.cpp
#include "backend/cuda/kernels/hadamard.cuh"

namespace lora::cuda {

template <typename T>
__device__ __forceinline__ float product_at(
    const HadamardFactor& a, const HadamardFactor& b, int64_t row, int column, int cols) {
    const T* left = static_cast<const T*>(a.at) + row * a.rank;
    const T* right = static_cast<const T*>(b.at) + column;
    float sum = 0.0F;
    for (int i = 0; i < a.rank; ++i) {
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
    const int column = factor_column(p.order, static_cast<int>(i - row * p.cols));
    const float first = product_at<T>(p.a1, p.b1, row, column, p.cols);
    const float second = product_at<T>(p.a2, p.b2, row, column, p.cols);
    float value = p.alpha * first * second;
    if (p.addend != nullptr) {
        value += to_float(static_cast<const T*>(p.addend)[i]);
        if constexpr (sizeof(T) == 2) {
            const uint32_t word =
                backend::dither_word(static_cast<uint32_t>(row * p.cols + column));
            value = backend::dithered(value, word, kSpareBits<T>);
        }
    }
    static_cast<T*>(p.dst)[i] = from_float<T>(value);
}

// A row of d a block: its threads make own a stretch at a time, then each sums for ranks.
template <typename T>
__device__ __forceinline__ void hadamard_backward_simt_rows(const HadamardBackwardArgs& p) {
    __shared__ float own[kHadamardSimtThreads];
    const int64_t row = blockIdx.x;
    const T* d = static_cast<const T*>(p.d) + row * p.cols;
    const T* partner = static_cast<const T*>(p.partner.at);
    for (int first = 0; first < p.own_rank; first += kHadamardSimtThreads) {
        const int rank = first + static_cast<int>(threadIdx.x);
        float sum = 0.0F;
        for (int at = 0; at < p.cols; at += kHadamardSimtThreads) {
            const int column = at + static_cast<int>(threadIdx.x);
            __syncthreads();
            own[threadIdx.x] =
                column < p.cols
                    ? to_float(d[column]) *
                          product_at<T>(p.a, p.b, row, factor_column(p.order, column), p.cols)
                    : 0.0F;
            __syncthreads();
            if (rank >= p.own_rank) continue;
            const int count = min(kHadamardSimtThreads, p.cols - at);
            for (int i = 0; i < count; ++i) {
                sum += own[i] * to_float(partner[static_cast<int64_t>(rank) * p.cols +
                                                 factor_column(p.order, at + i)]);
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
    const int column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (column >= p.cols) return;
    const int place = factor_column(p.order, column);
    const int first = static_cast<int>(blockIdx.y) * kHadamardSimtOwn;
    const T* d = static_cast<const T*>(p.d);
    const T* partner = static_cast<const T*>(p.partner.at);
    float sums[kHadamardSimtOwn] = {};
    for (int64_t row = 0; row < p.rows; ++row) {
        const float own =
            to_float(d[row * p.cols + column]) * product_at<T>(p.a, p.b, row, place, p.cols);
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
        float* to = p.dst + static_cast<int64_t>(first + i) * p.cols + place;
        *to = p.accumulate != 0 ? *to + p.alpha * sums[i] : p.alpha * sums[i];
    }
}

}  // namespace lora::cuda

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
LORA_HADAMARD_SIMT(bf16, __nv_bfloat16)
LORA_HADAMARD_SIMT(f16, __half)
