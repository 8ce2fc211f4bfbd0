// Arguments of the kernels that turn a weight's bytes from a file into the form kernels want.
#pragma once

#include <cstdint>

namespace lora::cuda {

// dst[o, tap, i] = src[o, i, tap]; taps 1: a plain conversion.
struct WeightArgs {
    const void* src = nullptr;
    void* dst = nullptr;
    int64_t count = 0;
    int taps = 1;
    int channels = 1;
    int dst_type = 0;  // 0 f32, 1 bf16, 2 f16
};

}  // namespace lora::cuda
