// Convolutions with bias, with their LoRA branches.
// Shapes   x [N, in, H, W] channels-last -> [N, out, h, w] channels-last.
#pragma once

#include <string>

#include "nn/lora.h"

namespace lora::nn {

struct ConvOptions {
    int64_t stride = 1;
    std::array<int64_t, 4> pad{1, 1, 1, 1};  // top, left, bottom, right
    ValueId addend = ir::kNoValue;
};

// Weight `name`.weight [out, in, 3, 3].
[[nodiscard]] ValueId conv3x3(const NetContext& net,
                              const std::string& name,
                              ValueId x,
                              int64_t out,
                              const ConvOptions& options = {});

// A linear layer on the pixels; weight value [out, in] (the file holds [out, in, 1, 1]).
[[nodiscard]] ValueId conv1x1(const NetContext& net,
                              const std::string& name,
                              ValueId x,
                              int64_t out,
                              ValueId addend = ir::kNoValue);

}  // namespace lora::nn
