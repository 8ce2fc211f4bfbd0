// The cuda backend: NVIDIA cards from compute capability 7.5 on, through the driver alone.
// Numbers  bf16, fp16 or fp32 with sums in fp32; the same bits from run to run.
// Threads  as backend.h says.
#pragma once

#include <memory>
#include <string>

#include "backend/registry.h"

namespace lora::cuda {

// Empty when a card can be used here, otherwise why not, in one line.
[[nodiscard]] std::string why_unavailable();
[[nodiscard]] std::unique_ptr<backend::Backend> open(const backend::BackendOptions& options);
[[nodiscard]] backend::BackendEntry entry();

}  // namespace lora::cuda
