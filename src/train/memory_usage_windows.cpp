// clang-format off
#include <windows.h>  // before psapi.h, which does not include it
#include <psapi.h>
// clang-format on

#include "train/memory_usage.h"

namespace lora::train {
namespace {

PROCESS_MEMORY_COUNTERS counters() {
    PROCESS_MEMORY_COUNTERS result{};
    result.cb = sizeof(result);
    if (K32GetProcessMemoryInfo(GetCurrentProcess(), &result, sizeof(result)) == 0) return {};
    return result;
}

}  // namespace

size_t resident_bytes() { return counters().WorkingSetSize; }

size_t peak_resident_bytes() { return counters().PeakWorkingSetSize; }

bool reset_peak_resident() { return false; }

}  // namespace lora::train
