// What this machine has: processor, instruction sets, memory. For `lora doctor` only; the backends
// choose their kernels themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lora::app {

struct Machine {
    std::string system;                 // "Linux", "Windows"
    std::string cpu;                    // brand text, or "unknown processor"
    int num_threads = 1;                // logical processors this process may use
    std::vector<std::string> features;  // "AVX2", "AVX-512", "AVX-512 BF16", "AMX BF16", ...
    uint64_t memory_bytes = 0;          // 0: unknown
    uint64_t free_memory_bytes = 0;     // what a program can still take; 0: unknown
};

[[nodiscard]] Machine look_at_machine();

}  // namespace lora::app
