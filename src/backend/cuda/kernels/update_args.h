// Arguments of the optimizer's kernels.
#pragma once

#include "backend/cuda/kernels/extent.h"

namespace lora::cuda {

struct SumSquaresArgs {
    Extent extent;
    const void* x = nullptr;
    const float* addend = nullptr;  // may be absent
    double* partial = nullptr;      // one a block
    float* sum = nullptr;
    int64_t parts = 0;
};

struct ClipCoefficientArgs {
    const float* sum_squares = nullptr;
    float* coefficient = nullptr;
    float* norm = nullptr;
    double max_norm = 0;  // 0: no clipping
};

struct AdamWArgs {
    Extent extent;
    float* p = nullptr;
    const float* g = nullptr;
    float* m = nullptr;
    float* v = nullptr;
    const float* clip = nullptr;
    const float* schedule = nullptr;  // lr, 1 - beta1^t, 1 - beta2^t
    float beta1 = 0;
    float one_minus_beta1 = 0;
    float beta2 = 0;
    float one_minus_beta2 = 0;
    float eps = 0;
    float weight_decay = 0;
};

}  // namespace lora::cuda
