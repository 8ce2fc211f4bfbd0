// Chooses the kernels of the best instruction set that this machine has.
#include <string_view>

#ifdef LORA_CPU_TILES
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
#ifdef LORA_CPU_TILES
namespace amx_bf16 {
const KernelTable& table();
}

namespace {

// Whether the processor multiplies matrix tiles of bf16 and the system lets this process use them,
// for which Linux wants to be asked (its documentation, arch/x86/xstate.rst).
bool may_use_tiles() {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    constexpr unsigned kBf16 = 1U << 22;
    constexpr unsigned kTiles = 1U << 24;
    if ((edx & kBf16) == 0 || (edx & kTiles) == 0) return false;
    constexpr long kRequestPermission = 0x1023;
    constexpr long kTileData = 18;
    return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace
#endif

const KernelTable& kernel_table(const char* limit) {
    const std::string_view most(limit);
    const int level = most == "base"          ? 0
                      : most == "avx2"        ? 1
                      : most == "avx512"      ? 2
                      : most == "avx512_bf16" ? 3
                                              : 4;
    static_cast<void>(level);
#ifdef LORA_CPU_X86
    __builtin_cpu_init();
    const bool has_avx512 =
        __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
        __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
    if (level >= 3 && has_avx512 && __builtin_cpu_supports("avx512bf16") != 0) {
#ifdef LORA_CPU_TILES
        if (level >= 4 && may_use_tiles()) return amx_bf16::table();
#endif
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
