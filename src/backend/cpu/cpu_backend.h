// The `cpu` backend: oneDNN where the program has it, own kernels for the rest, all cores.
// Types  fp32 everywhere; bf16 values with fp32 arithmetic inside, fast where the processor has
// bf16 instructions and only smaller elsewhere. Registered by app/main.cpp and the tools.
// LORA_TRACE=1 prints every node with the chosen implementation and its time to stderr.
// For tests: LORA_CPU_ISA=base|avx2|avx512 takes no more than these instructions in our own
// kernels, LORA_CPU_PRODUCTS=own|onednn chooses who computes the frozen products.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/registry.h"

namespace lora::cpu {

[[nodiscard]] std::unique_ptr<backend::Backend> open(const backend::BackendOptions& options = {});
[[nodiscard]] backend::BackendEntry entry();

}  // namespace lora::cpu
