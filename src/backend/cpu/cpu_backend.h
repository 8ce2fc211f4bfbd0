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

// For the first line of main(): OpenMP threads that wait for work sleep at once instead of spinning
// (OMP_WAIT_POLICY=passive unless the user set it), by starting the program again. With any other
// program busy on the machine, spinning threads take the processor from the one they wait for, and
// a step of the demo takes ten times as long (docs/performance.md).
void let_idle_threads_sleep(char** argv);

}  // namespace lora::cpu
