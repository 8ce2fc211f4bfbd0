// A linear layer over the last axis, with its LoRA branches.
// Shapes   x [.., in] -> [.., out]; weight `name`.weight [out, in], bias `name`.bias [out].
#pragma once

#include <string>

#include "nn/lora.h"

namespace lora::nn {

struct LinearOptions {
    bool bias = true;
    ValueId addend = ir::kNoValue;  // added to the result
};

[[nodiscard]] ValueId linear(const NetContext& net,
                             const std::string& name,
                             ValueId x,
                             int64_t out,
                             const LinearOptions& options = {});

}  // namespace lora::nn
