// Sums of the parts that a split product left in `partial`, in a fixed order.
#pragma once

#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

// The sums of kWidth neighbours from element `at` over all splits, in every thread with
// threadIdx.y 0. Block {32, groups}: group y takes every groups-th split. All threads must call it.
template <int kWidth>
__device__ __forceinline__ void sum_splits(
    float (&sums)[kWidth], const float* partial, int64_t at, int64_t count, int splits) {
    using Piece = Vector<float, kWidth>;
    __shared__ Piece shared[kReduceGroups][32];
    const int groups = static_cast<int>(blockDim.y);
    const int group = static_cast<int>(threadIdx.y);
#pragma unroll
    for (int e = 0; e < kWidth; ++e) sums[e] = 0.0F;
    if (at < count) {
#pragma unroll 4
        for (int split = group; split < splits; split += groups) {
            const Piece piece = *reinterpret_cast<const Piece*>(partial + split * count + at);
#pragma unroll
            for (int e = 0; e < kWidth; ++e) sums[e] += piece.at[e];
        }
    }
    Piece own;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) own.at[e] = sums[e];
    shared[group][threadIdx.x] = own;
    __syncthreads();
    if (group > 0) return;
    for (int other = 1; other < groups; ++other) {
        const Piece piece = shared[other][threadIdx.x];
#pragma unroll
        for (int e = 0; e < kWidth; ++e) sums[e] += piece.at[e];
    }
}

}  // namespace lora::cuda
