// Frozen matrices in 8 bits: each row (of the outermost axis) divided by a scale of its own, so
// that its largest element becomes 127. Symmetric; stored with 128 added, as dequantize reads it.
// Threads  pure function.
#pragma once

#include "tensor/tensor.h"

namespace lora::train {

struct QuantizedRows {
    Tensor bytes;   // U8, the source's shape
    Tensor scales;  // F32 [rows]
};

// `source` is of a floating type and has at least one axis. An element is off by at most half its
// row's scale.
[[nodiscard]] QuantizedRows quantize_rows(const TensorView& source);

}  // namespace lora::train
