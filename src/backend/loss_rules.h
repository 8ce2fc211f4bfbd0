// The loss of one difference and its slope in fp32: what the cpu and cuda kernels share.
// Definition: backend/reference/loss.cpp. Also compiled by nvcc.
#pragma once

#include <cstdint>

#include "backend/update_args.h"

namespace lora::backend {

// In the order of ir::LossKind.
enum class LossRule : int { kL2 = 0, kL1 = 1, kHuber = 2, kSmoothL1 = 3 };

// f(d). The two smooth ones as d^2 / (root + c), which small differences do not cancel in.
LORA_RULE float loss_value(LossRule rule, float d, float c) {
    if (rule == LossRule::kL2) return d * d;
    if (rule == LossRule::kL1) return update_abs(d);
    const float smooth = 2.0F * d * d / (update_root(d * d + c * c) + c);
    return rule == LossRule::kHuber ? c * smooth : smooth;
}

// f'(d).
LORA_RULE float loss_slope(LossRule rule, float d, float c) {
    if (rule == LossRule::kL2) return 2.0F * d;
    if (rule == LossRule::kL1) return update_sign(d);
    const float slope = 2.0F * d / update_root(d * d + c * c);
    return rule == LossRule::kHuber ? c * slope : slope;
}

}  // namespace lora::backend
