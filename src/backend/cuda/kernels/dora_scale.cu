// DoRA's scale of a weight's rows and its gradient. A block a row, squares summed in fp64.
// Launch: 256 threads a block. Checked by tests/support/cases/norm.cpp.
#include "backend/cuda/kernels/norm_args.h"
#include "backend/cuda/kernels/pieces.cuh"

namespace lora::cuda {

// h = m / (norm + eps) - 1. Reads every element once.
template <typename T>
__device__ void dora_scale(const DoraScaleArgs& p) {
    __shared__ double partial[32];
    const int64_t row = blockIdx.x;
    const T* v = static_cast<const T*>(p.v) + row * p.length;
    double sum = 0;
    for (int64_t i = threadIdx.x; i < p.length; i += blockDim.x) {
        const double x = static_cast<double>(to_float(v[i]));
        sum += x * x;
    }
    sum = block_sum(sum, partial);
    if (threadIdx.x != 0) return;
    const double norm = sqrt(sum);
    p.h[row] = static_cast<float>(static_cast<double>(p.m[row]) / (norm + p.eps) - 1.0);
    p.norms[row] = static_cast<float>(norm);
}

// dv = -dh m / (norm + eps)^2 / norm * v, dm = dh / (norm + eps). Moves 2 values an element.
template <typename T>
__device__ void dora_scale_backward(const DoraScaleArgs& p) {
    const int64_t row = blockIdx.x;
    const double norm = static_cast<double>(p.norms[row]);
    const double inverse = 1.0 / (norm + p.eps);
    const double dm = static_cast<double>(p.dh[row]) * inverse;
    const double m = static_cast<double>(p.m[row]);
    const float factor = norm > 0 ? static_cast<float>(-dm * m * inverse / norm) : 0.0F;
    const T* v = static_cast<const T*>(p.v) + row * p.length;
    T* dv = static_cast<T*>(p.dv) + row * p.length;
    for (int64_t i = threadIdx.x; i < p.length; i += blockDim.x) {
        dv[i] = from_float<T>(factor * to_float(v[i]));
    }
    if (threadIdx.x == 0) p.dm[row] = static_cast<float>(dm);
}

#define LORA_DORA_SCALE(suffix, type)                                                              \
    extern "C" __global__ void dora_scale_##suffix(const DoraScaleArgs p) { dora_scale<type>(p); } \
    extern "C" __global__ void dora_scale_backward_##suffix(const DoraScaleArgs p) {               \
        dora_scale_backward<type>(p);                                                              \
    }
LORA_FOR_ELEMENTS(LORA_DORA_SCALE)

}  // namespace lora::cuda
