// Arguments of the weighted loss and its gradient.
#pragma once

#include "backend/cuda/kernels/extent.h"
#include "backend/loss_rules.h"
#include "ir/loss_kind.h"

namespace lora::cuda {

// Of both kernels: f, what masks it, and its threshold.
struct LossTerms {
    ir::LossKind kind = ir::LossKind::kL2;
    const float* mask = nullptr;  // [rows][mask_length], repeated over a row; null: ones
    int64_t mask_length = 1;
    const float* c = nullptr;  // [rows]; null where f has none
};

struct WeightedLossArgs {
    LossTerms terms;
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

// dst = factor * weights[row] * mask * f'(prediction - target)
struct WeightedLossBackwardArgs {
    LossTerms terms;
    Extent extent;
    const void* prediction = nullptr;
    const void* target = nullptr;
    const float* weights = nullptr;
    void* dst = nullptr;
    float factor = 0;
};

}  // namespace lora::cuda
