// Chooses the compute type of a run for the device that will run it.
#pragma once

#include <string>
#include <string_view>

#include "backend/backend.h"

namespace lora::app {

// `asked` is auto, no, fp16 or bf16; the answer no, fp16 or bf16. A type that the device does not
// have is replaced, with a warning that says by which.
[[nodiscard]] std::string choose_precision(std::string_view asked, const backend::Backend& backend);

// The element type behind no, fp16 and bf16.
[[nodiscard]] DType precision_dtype(std::string_view precision);

}  // namespace lora::app
