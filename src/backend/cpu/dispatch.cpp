// Chooses the kernels of the best instruction set that this machine has.
#include <string_view>

#include "backend/cpu/kernels/kernel_table.h"

namespace lora::cpu {

namespace base {
const KernelTable& table();
}
#ifdef LORA_CPU_X86
namespace avx2 {
const KernelTable& table();
}
namespace avx512 {
const KernelTable& table();
}
namespace avx512_bf16 {
const KernelTable& table();
}
#endif

const KernelTable& kernel_table(const char* limit) {
    const std::string_view most(limit);
    const int level = most == "base" ? 0 : most == "avx2" ? 1 : most == "avx512" ? 2 : 3;
    static_cast<void>(level);
#ifdef LORA_CPU_X86
    __builtin_cpu_init();
    const bool has_avx512 =
        __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
        __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
    if (level >= 3 && has_avx512 && __builtin_cpu_supports("avx512bf16") != 0) {
        return avx512_bf16::table();
    }
    if (level >= 2 && has_avx512) return avx512::table();
    if (level >= 1 && __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
        return avx2::table();
    }
#endif
    return base::table();
}

}  // namespace lora::cpu
