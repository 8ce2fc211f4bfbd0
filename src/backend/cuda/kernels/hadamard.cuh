// What the kernels for elementwise products of matrices of low rank share.
#pragma once

#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/hadamard_args.h"
#include "backend/dither_rules.h"

namespace lora::cuda {

template <typename T>
constexpr int kSpareBits = backend::kSpareBitsBf16;
template <>
constexpr int kSpareBits<__half> = backend::kSpareBitsF16;

// Column of the factors for column c of the filter, which lies by taps.
__device__ __forceinline__ int factor_column(const HadamardOrder& order, int c) {
    if (order.taps == 1) return c;
    const int tap = c / order.channels;
    return (c - tap * order.channels) * order.taps + tap;
}

}  // namespace lora::cuda
