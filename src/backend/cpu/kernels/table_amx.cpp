// The table of the AMX instruction set: AVX-512 BF16's, and attention in matrix tiles.
#include "backend/cpu/kernels/registry.h"

namespace lora::cpu::avx512_bf16 {
const KernelTable& table();
}

namespace lora::cpu::LORA_CPU_ISA {
namespace {

AttentionKernels make_attention() {
    AttentionKernels kernels = avx512_bf16::table().attention;  // delta
    kernels.name = "own attention in tiles";
    add_attention_kernels(kernels);
    add_attention_backward_kernels(kernels);
    return kernels;
}

KernelTable make_table() {
    static const AttentionKernels kAttention = make_attention();
    KernelTable table = avx512_bf16::table();
    table.name = "amx_bf16";
    table.tiled_attention = &kAttention;
    return table;
}

}  // namespace

const KernelTable& table() {
    static const KernelTable kTable = make_table();
    return kTable;
}

}  // namespace lora::cpu::LORA_CPU_ISA
