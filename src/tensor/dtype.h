// Element types of tensors, in files and in graphs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lora {

enum class DType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32, kU8, kBool };

[[nodiscard]] size_t dtype_bytes(DType dtype);
// The name safetensors uses: "F32", "BF16", ...
[[nodiscard]] std::string_view dtype_name(DType dtype);
[[nodiscard]] std::optional<DType> dtype_from_name(std::string_view name);
[[nodiscard]] constexpr bool is_float(DType dtype) { return dtype <= DType::kBF16; }

}  // namespace lora
