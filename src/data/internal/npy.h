// One array in NumPy's .npy format (version 1.0 written; 1.0 to 3.0 read). Used by npz_file.cpp.
#pragma once

#include <span>
#include <string>

#include "tensor/tensor.h"

namespace lora::data::internal {

[[nodiscard]] Tensor parse_npy(std::span<const std::byte> bytes, const std::string& what);
[[nodiscard]] std::string make_npy(const TensorView& tensor);

}  // namespace lora::data::internal
