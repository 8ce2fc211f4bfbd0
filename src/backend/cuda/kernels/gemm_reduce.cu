// The end of a product that was split over k: dst = alpha * sum of `partial` + bias + addend.
// Types   fp32 in and summed, the kernel's type out.
// Launch  grid ceil(m n / (32 * width)), block {32, min(splits, kReduceGroups)}; width is 4 when
//         args.wide, otherwise 1.
// Moves   `partial` once, dst (and addend) once.
#include "backend/cuda/kernels/gemm_reduce.cuh"

namespace lora::cuda {

template <typename T, int kWidth>
__device__ void reduce(const ProductArgs& p) {
    using Piece = Vector<T, kWidth>;
    const int64_t count = static_cast<int64_t>(p.m) * p.n;
    const int64_t at = (static_cast<int64_t>(blockIdx.x) * 32 + threadIdx.x) * kWidth;
    float v[kWidth];
    sum_splits<kWidth>(v, p.partial, at, count, p.splits);
    if (threadIdx.y > 0 || at >= count) return;
    const int64_t row = at / p.n;
    const int64_t n = at - row * p.n;
    const int64_t to = row * p.ldd + n;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) v[e] *= p.alpha;
    if (p.bias != nullptr) {
        const Piece add = *reinterpret_cast<const Piece*>(static_cast<const T*>(p.bias) + n);
#pragma unroll
        for (int e = 0; e < kWidth; ++e) v[e] += to_float(add.at[e]);
    }
    if (p.addend != nullptr) {
        const Piece add = *reinterpret_cast<const Piece*>(static_cast<const T*>(p.addend) + to);
#pragma unroll
        for (int e = 0; e < kWidth; ++e) v[e] += to_float(add.at[e]);
    }
    Piece result;
#pragma unroll
    for (int e = 0; e < kWidth; ++e) result.at[e] = from_float<T>(v[e]);
    *reinterpret_cast<Piece*>(static_cast<T*>(p.dst) + to) = result;
}

}  // namespace lora::cuda

#define LORA_GEMM_REDUCE(suffix, T)                                               \
    extern "C" __global__ void __launch_bounds__(32 * lora::cuda::kReduceGroups)  \
        gemm_reduce_##suffix(const __grid_constant__ lora::cuda::ProductArgs p) { \
        if (p.wide != 0) {                                                        \
            lora::cuda::reduce<T, 4>(p);                                          \
        } else {                                                                  \
            lora::cuda::reduce<T, 1>(p);                                          \
        }                                                                         \
    }
LORA_FOR_ELEMENTS(LORA_GEMM_REDUCE)
