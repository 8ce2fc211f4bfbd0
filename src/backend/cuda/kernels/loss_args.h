// Arguments of the weighted mean square and its gradient.
#pragma once

#include "backend/cuda/kernels/extent.h"

namespace lora::cuda {

struct WeightedMseArgs {
    const void* prediction = nullptr;
    const void* target = nullptr;
    const float* weights = nullptr;  // [rows]
    double* partial = nullptr;       // [rows][parts]
    float* loss = nullptr;
    float* losses = nullptr;  // [rows]
    int64_t rows = 0;
    int64_t length = 0;  // elements a row
    int64_t parts = 0;   // of a row, kLossPart elements each
    int aligned = 0;
};
inline constexpr int kLossPart = 2048;

// dst = factor * weights[row] * (prediction - target)
struct WeightedMseBackwardArgs {
    Extent extent;
    const void* prediction = nullptr;
    const void* target = nullptr;
    const float* weights = nullptr;
    void* dst = nullptr;
    float factor = 0;
};

}  // namespace lora::cuda
