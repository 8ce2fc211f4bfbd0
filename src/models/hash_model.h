// A model whose weights follow from its tensors' names: full-size tests and benchmarks without any
// download. Element i of tensor NAME: splitmix64 of fnv1a64(NAME) + (i + 1) * golden gamma, the top
// 24 bits mapped to [-1, 1).
// Threads  pure; parts of a tensor may be filled by different threads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tensor/tensor.h"

namespace lora::models {

// Elements first .. first + dst.size() - 1 of the tensor.
void fill_hash_uniform(std::string_view name, int64_t first, std::span<float> dst);
// The same as a tensor, times `scale`, fp32.
[[nodiscard]] Tensor hash_tensor(std::string_view name, const Shape& shape, float scale);
// A weight, rounded to fp16: two or more axes: sqrt(3 / fan in) * u; one axis: norms
// (named ...weight) 1 + 0.1 u, others 0.05 u.
[[nodiscard]] Tensor hash_weight(std::string_view name, const Shape& shape);

}  // namespace lora::models
