// limit_norm's decision: what the cpu and cuda kernels share. Definition:
// backend/reference/update.cpp. Also compiled by nvcc.
#pragma once

#include "backend/update_args.h"

namespace lora::backend {

// What a weight change of this norm is multiplied by.
LORA_RULE double limit_ratio(double norm, double most) {
    const double clamped = norm < most / 2 ? most / 2 : norm;
    return (most < clamped ? most : clamped) / clamped;
}

// `stats`: how many were scaled, sum of their norms afterwards, the largest, how many there are.
LORA_RULE void count_limit(double norm, double ratio, float* stats) {
    const float limited = static_cast<float>(norm * ratio);
    stats[0] += ratio != 1.0 ? 1.0F : 0.0F;
    stats[1] += limited;
    stats[2] = stats[2] < limited ? limited : stats[2];
    stats[3] += 1.0F;
}

}  // namespace lora::backend
