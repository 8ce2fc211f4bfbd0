// Activation functions and their slopes in fp32. With Exact the exponential is correct to an ulp or
// two; without, to about 2^-21, far below the rounding of bf16 and f16.
#pragma once

#include <type_traits>

#include "backend/cuda/kernels/common.cuh"

namespace lora::cuda {

enum ActivationKind : int { kNoActivation, kSilu, kGelu, kQuickGelu };  // order of ir::Activation

template <typename T>
constexpr bool kIsExact = std::is_same_v<T, float>;

template <bool kExact>
__device__ __forceinline__ float sigmoid(float x) {
    if constexpr (kExact) return 1.0F / (1.0F + expf(-x));
    return __fdividef(1.0F, 1.0F + __expf(-x));
}

// Standard normal distribution function and density. erfc keeps the left tail exact.
template <bool kExact>
__device__ __forceinline__ float normal_cdf(float x) {
    constexpr float kRootHalf = 0.70710678118654752F;
    if constexpr (kExact) return 0.5F * erfcf(-x * kRootHalf);
    return fmaf(0.5F, erff(x * kRootHalf), 0.5F);
}
template <bool kExact>
__device__ __forceinline__ float normal_density(float x) {
    constexpr float kInverseRootTwoPi = 0.39894228040143268F;
    const float exponent = -0.5F * x * x;
    return (kExact ? expf(exponent) : __expf(exponent)) * kInverseRootTwoPi;
}

constexpr float kQuickGeluSlope = 1.702F;

template <bool kExact>
__device__ __forceinline__ float silu_slope(float x) {
    const float s = sigmoid<kExact>(x);
    return s * fmaf(x, 1.0F - s, 1.0F);
}
template <bool kExact>
__device__ __forceinline__ float gelu_slope(float x) {
    return fmaf(x, normal_density<kExact>(x), normal_cdf<kExact>(x));
}

template <bool kExact>
__device__ __forceinline__ float activate(int function, float x) {
    if (function == kSilu) return x * sigmoid<kExact>(x);
    if (function == kGelu) return x * normal_cdf<kExact>(x);
    if (function == kQuickGelu) return x * sigmoid<kExact>(kQuickGeluSlope * x);
    return x;
}

template <bool kExact>
__device__ __forceinline__ float activation_slope(int function, float x) {
    if (function == kSilu) return silu_slope<kExact>(x);
    if (function == kGelu) return gelu_slope<kExact>(x);
    if (function == kQuickGelu) {
        const float s = sigmoid<kExact>(kQuickGeluSlope * x);
        return s * fmaf(kQuickGeluSlope * x, 1.0F - s, 1.0F);
    }
    return 1.0F;
}

}  // namespace lora::cuda
