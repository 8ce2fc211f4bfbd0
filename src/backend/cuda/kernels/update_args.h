// Arguments of the optimizer's kernels; those of the methods are in backend/update_args.h.
#pragma once

#include "backend/cuda/kernels/extent.h"
#include "ir/update_rule.h"

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

// The factors of one weight change; `factors` of them are there, the others have no elements.
struct LimitNormArgs {
    float* values[ir::kMostLimitFactors] = {};
    int64_t sizes[ir::kMostLimitFactors] = {};
    const float* sum_squares = nullptr;
    float* stats = nullptr;  // [4]
    double most = 0;
    int factors = 1;
};

}  // namespace lora::cuda
