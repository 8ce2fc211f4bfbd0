// Converts a frozen weight from the file's type to the compute type, convolutions to channels-last.
// Moves each byte once. Checked by every parity case that has a weight.
#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/weight_args.h"

namespace lora::cuda {

template <typename Src>
__device__ void convert(const WeightArgs& p) {
    const auto* src = static_cast<const Src*>(p.src);
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    const int64_t per_row = static_cast<int64_t>(p.taps) * p.channels;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < p.count;
         i += step) {
        int64_t from = i;
        if (p.taps > 1) {
            const int64_t row = i / per_row;
            const int64_t rest = i % per_row;
            from = row * per_row + rest % p.channels * p.taps + rest / p.channels;
        }
        const float x = to_float(src[from]);
        if (p.dst_type == 0) static_cast<float*>(p.dst)[i] = x;
        if (p.dst_type == 1) static_cast<__nv_bfloat16*>(p.dst)[i] = __float2bfloat16_rn(x);
        if (p.dst_type == 2) static_cast<__half*>(p.dst)[i] = __float2half_rn(x);
    }
}

#define LORA_WEIGHT_KERNEL(suffix, type) \
    extern "C" __global__ void weight_convert_##suffix(const WeightArgs p) { convert<type>(p); }
LORA_FOR_ELEMENTS(LORA_WEIGHT_KERNEL)

}  // namespace lora::cuda
