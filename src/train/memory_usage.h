// How much memory the process holds, as the operating system counts it. Not the planner's figure.
// Threads  any. Zero means that the system does not tell.
#pragma once

#include <cstddef>

namespace lora::train {

// Bytes in physical memory now (VmRSS; working set on Windows).
[[nodiscard]] size_t resident_bytes();
// The most so far (VmHWM; peak working set on Windows).
[[nodiscard]] size_t peak_resident_bytes();
// Lets the peak start anew from here, where the system allows it (Linux). True on success.
bool reset_peak_resident();

}  // namespace lora::train
