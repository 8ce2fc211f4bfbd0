// Each kernels/*.cpp adds its functions to the table of its instruction set; table.cpp collects
// them.
#pragma once

#include "backend/cpu/kernels/kernel_table.h"

namespace lora::cpu::LORA_CPU_ISA {

void add_convert_kernels(KernelTable& table);
void add_elementwise_kernels(KernelTable& table);
void add_norm_kernels(KernelTable& table);
void add_gemm_kernels(KernelTable& table);
void add_attention_kernels(KernelTable& table);
void add_attention_backward_kernels(KernelTable& table);
void add_update_kernels(KernelTable& table);

// Attention in matrix tiles, where the instruction set has them.
void add_attention_kernels(AttentionKernels& kernels);
void add_attention_backward_kernels(AttentionKernels& kernels);

// The whole table.
[[nodiscard]] const KernelTable& table();

}  // namespace lora::cpu::LORA_CPU_ISA
