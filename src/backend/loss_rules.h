// The loss of one difference and its slope in fp32: what the cpu and cuda kernels share.
// Definition: backend/reference/loss.cpp. Also compiled by nvcc.
#pragma once

#include "backend/update_args.h"
#include "ir/loss_kind.h"

namespace lora::backend {

// f(d). The two smooth ones as d^2 / (root + c), which small differences do not cancel in.
LORA_RULE float loss_value(ir::LossKind kind, float d, float c) {
    if (kind == ir::LossKind::kL2) return d * d;
    if (kind == ir::LossKind::kL1) return update_abs(d);
    const float smooth = 2.0F * d * d / (update_root(d * d + c * c) + c);
    return kind == ir::LossKind::kHuber ? c * smooth : smooth;
}

// f'(d).
LORA_RULE float loss_slope(ir::LossKind kind, float d, float c) {
    if (kind == ir::LossKind::kL2) return 2.0F * d;
    if (kind == ir::LossKind::kL1) return update_sign(d);
    const float slope = 2.0F * d / update_root(d * d + c * c);
    return kind == ir::LossKind::kHuber ? c * slope : slope;
}

}  // namespace lora::backend
