// What kernels share: element types, conversions, reductions, vector loads.
// Every kernel is extern "C", takes one struct by value, and carries its element type as a suffix:
// LORA_FOR_ELEMENTS(X) expands X(suffix, type) for f32, bf16 and f16.
#pragma once

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define LORA_FOR_ELEMENTS(X) \
    X(f32, float)            \
    X(bf16, __nv_bfloat16)   \
    X(f16, __half)

namespace lora::cuda {

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }

template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
    return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ __half from_float<__half>(float x) {
    return __float2half_rn(x);
}

// Consecutive elements that one load or store moves.
template <typename T, int N>
struct alignas(sizeof(T) * N) Vector {
    T at[N];
};
template <typename T>
constexpr int kPer16Bytes = 16 / static_cast<int>(sizeof(T));

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(~0U, x, offset);
    return x;
}
__device__ __forceinline__ double warp_sum(double x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(~0U, x, offset);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
        x = fmaxf(x, __shfl_xor_sync(~0U, x, offset));
    }
    return x;
}

}  // namespace lora::cuda
