// Group norm and layer norm with frozen scale and shift (`name`.weight, `name`.bias).
#pragma once

#include <string>

#include "nn/lora.h"

namespace lora::nn {

struct GroupNormOptions {
    int64_t groups = 32;
    double eps = 1e-5;
    bool silu = false;  // y = silu(norm(x))
};

// x [N, C, H, W] channels-last.
[[nodiscard]] ValueId group_norm(const NetContext& net,
                                 const std::string& name,
                                 ValueId x,
                                 const GroupNormOptions& options = {});

// Over the last axis.
[[nodiscard]] ValueId layer_norm(const NetContext& net, const std::string& name, ValueId x);

}  // namespace lora::nn
