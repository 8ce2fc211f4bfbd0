// Memory of the machine, one file a system: machine_memory_linux.cpp, machine_memory_windows.cpp.
#pragma once

#include <cstdint>

namespace lora::app {

struct MachineMemory {
    uint64_t total_bytes = 0;
    uint64_t free_bytes = 0;
};

[[nodiscard]] MachineMemory look_at_memory();

}  // namespace lora::app
