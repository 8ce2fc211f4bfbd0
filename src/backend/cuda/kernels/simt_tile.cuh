// A block's product without tensor cores: 64 x 64 sums, 4 x 4 a thread, exact in fp32. Operands are
// fetched element by element, so any size, stride and address will do.
#pragma once

#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

struct SimtSums {
    float at[4][4];
};
// Thread (x, y) of 16 x 16 has rows y * 4 + i and columns x * 4 + j.
__device__ __forceinline__ int simt_row() { return static_cast<int>(threadIdx.x) / 16 * 4; }
__device__ __forceinline__ int simt_column() { return static_cast<int>(threadIdx.x) % 16 * 4; }

// Sums over k in [begin, end). left_at(k, i, e) and right_at(k, i, e) give element (k, i) of the
// block's part, zero outside. It is the e-th that the thread asks for in this step: by depth, i is
// the same for all e; otherwise i is threadIdx.x / kSimtDepth + e * kSimtRowStep.
inline constexpr int kSimtRowStep = kSimtThreads / kSimtDepth;
template <bool kLeftByDepth, bool kRightByDepth, typename Left, typename Right>
__device__ __forceinline__ void simt_product(
    SimtSums& sums, int begin, int end, const Left& left_at, const Right& right_at) {
    constexpr int kStride = kSimtTile + 4;
    constexpr int kCount = kSimtTile * kSimtDepth / kSimtThreads;
    __shared__ __align__(16) float left[kSimtDepth][kStride];
    __shared__ __align__(16) float right[kSimtDepth][kStride];
    const int thread = static_cast<int>(threadIdx.x);
    const auto fetch = [&](float(&to)[kSimtDepth][kStride], bool by_depth, int k, const auto& at) {
#pragma unroll
        for (int e = 0; e < kCount; ++e) {
            const int item = thread + e * kSimtThreads;
            const int depth = by_depth ? item / kSimtTile : item % kSimtDepth;
            const int i = by_depth ? item % kSimtTile : item / kSimtDepth;
            to[depth][i] = k + depth < end ? at(k + depth, i, e) : 0.0F;
        }
    };
#pragma unroll
    for (int i = 0; i < 16; ++i) sums.at[i / 4][i % 4] = 0.0F;
    for (int k = begin; k < end; k += kSimtDepth) {
        __syncthreads();
        fetch(left, kLeftByDepth, k, left_at);
        fetch(right, kRightByDepth, k, right_at);
        __syncthreads();
#pragma unroll
        for (int depth = 0; depth < kSimtDepth; ++depth) {
            const float4 a = *reinterpret_cast<const float4*>(&left[depth][simt_row()]);
            const float4 b = *reinterpret_cast<const float4*>(&right[depth][simt_column()]);
            const float rows[4] = {a.x, a.y, a.z, a.w};
            const float columns[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int i = 0; i < 4; ++i) {
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums.at[i][j] = fmaf(rows[i], columns[j], sums.at[i][j]);
                }
            }
        }
    }
}

}  // namespace lora::cuda
