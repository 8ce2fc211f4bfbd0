// Sums the parts that dkv leaves when it is split over queries, in their order.
//   dk, dv [N, Tk, C] = sum over splits of partial [splits, 2, N, Tk, C] fp32
// Launch   grid (blocks, 2), any number of threads. Moves each part once.
#include "backend/cuda/kernels/attention_args.h"
#include "backend/cuda/kernels/common.cuh"

namespace lora::cuda {

template <typename T>
__device__ void sum_parts(const AttentionArgs& p) {
    // Four elements at once: head sizes of the tensor core kernels are multiples of 8.
    const int64_t count = static_cast<int64_t>(p.num_samples) * p.num_keys * p.heads * p.head_size;
    const auto* part = reinterpret_cast<const float4*>(p.partial + blockIdx.y * count);
    auto* dst = static_cast<Vector<T, 4>*>(blockIdx.y == 0 ? p.dk : p.dv);
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count / 4;
         i += step) {
        float4 sum = part[i];
        for (int split = 1; split < p.splits; ++split) {
            const float4 x = part[i + split * (count / 2)];
            sum.x += x.x;
            sum.y += x.y;
            sum.z += x.z;
            sum.w += x.w;
        }
        dst[i] = {{from_float<T>(sum.x),
                   from_float<T>(sum.y),
                   from_float<T>(sum.z),
                   from_float<T>(sum.w)}};
    }
}

extern "C" __global__ void attention_sum_bf16(const AttentionArgs p) {
    sum_parts<__nv_bfloat16>(p);
}
extern "C" __global__ void attention_sum_f16(const AttentionArgs p) { sum_parts<__half>(p); }

}  // namespace lora::cuda
