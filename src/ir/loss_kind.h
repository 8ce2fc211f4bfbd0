// The kinds of loss, for op.h and for kernels, which include nothing else of the graph.
#pragma once

#include <cstdint>

namespace lora::ir {

// Of the difference of prediction and target.
enum class LossKind : uint8_t { kL2, kL1, kHuber, kSmoothL1 };

}  // namespace lora::ir
