// The table of one instruction set.
#include "backend/cpu/kernels/registry.h"

#define LORA_STRING_OF(x) #x
#define LORA_STRING(x) LORA_STRING_OF(x)

namespace lora::cpu::LORA_CPU_ISA {
namespace {

KernelTable make_table() {
    KernelTable table{};
    table.name = LORA_STRING(LORA_CPU_ISA);
    add_convert_kernels(table);
    add_elementwise_kernels(table);
    add_norm_kernels(table);
    add_gemm_kernels(table);
    add_attention_kernels(table);
    add_attention_backward_kernels(table);
    add_update_kernels(table);
    return table;
}

}  // namespace

const KernelTable& table() {
    static const KernelTable kTable = make_table();
    return kTable;
}

}  // namespace lora::cpu::LORA_CPU_ISA
