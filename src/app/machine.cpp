#include "app/machine.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <array>
#include <cstring>

#include "app/internal/machine_memory.h"
#include "base/thread_pool.h"

namespace lora::app {
namespace {

#if defined(__x86_64__)

std::string brand_text() {
    std::array<unsigned, 12> words{};
    for (unsigned i = 0; i < 3; ++i) {
        unsigned* at = &words[size_t{i} * 4];
        if (__get_cpuid(0x80000002U + i, at, at + 1, at + 2, at + 3) == 0) return {};
    }
    char text[sizeof words + 1] = {};
    std::memcpy(text, words.data(), sizeof words);
    std::string brand(text);
    while (brand.starts_with(' ')) brand.erase(0, 1);
    while (brand.ends_with(' ')) brand.pop_back();
    return brand;
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> sets;
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) sets.emplace_back("AVX2");
    if (__builtin_cpu_supports("fma")) sets.emplace_back("FMA");
    if (__builtin_cpu_supports("avx512f")) sets.emplace_back("AVX-512");
    if (__builtin_cpu_supports("avx512vnni")) sets.emplace_back("AVX-512 VNNI");
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1U << 5)) != 0) {
        sets.emplace_back("AVX-512 BF16");
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & (1U << 22)) != 0) {
        sets.emplace_back("AMX BF16");
    }
    return sets;
}

#else

std::string brand_text() { return {}; }
std::vector<std::string> instruction_sets() { return {}; }

#endif

}  // namespace

Machine look_at_machine() {
    Machine machine;
#if defined(_WIN32)
    machine.system = "Windows";
#elif defined(__linux__)
    machine.system = "Linux";
#else
    machine.system = "unknown system";
#endif
    machine.cpu = brand_text();
    if (machine.cpu.empty()) machine.cpu = "unknown processor";
    machine.num_threads = num_hardware_threads();
    machine.features = instruction_sets();
    const MachineMemory memory = look_at_memory();
    machine.memory_bytes = memory.total_bytes;
    machine.free_memory_bytes = memory.free_bytes;
    return machine;
}

}  // namespace lora::app
