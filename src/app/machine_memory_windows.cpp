// clang-format off
#include <windows.h>
// clang-format on

#include "app/internal/machine_memory.h"

namespace lora::app {

MachineMemory look_at_memory() {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    if (GlobalMemoryStatusEx(&status) == 0) return {};
    return {status.ullTotalPhys, status.ullAvailPhys};
}

}  // namespace lora::app
