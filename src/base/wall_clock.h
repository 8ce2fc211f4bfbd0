// The time of day, as a number and as a calendar shows it.
#pragma once

#include <ctime>

namespace lora {

// Seconds since 1970, to the microsecond.
[[nodiscard]] double unix_time();

// Threads  any; the C library's own functions share one buffer.
[[nodiscard]] std::tm calendar_time(double unix_time, bool utc);

}  // namespace lora
