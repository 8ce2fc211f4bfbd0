// The time of day, as a number and as a calendar shows it.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

namespace lora {

// Seconds since 1970, to the microsecond.
[[nodiscard]] double unix_time();

// Threads  any; the C library's own functions share one buffer.
[[nodiscard]] std::tm calendar_time(double unix_time, bool utc);

// SOURCE_DATE_EPOCH, when it is set to a number: the clock of reproducible files.
[[nodiscard]] std::optional<int64_t> source_date_epoch();
// What files say about when they were written: now, or SOURCE_DATE_EPOCH.
[[nodiscard]] double file_time();
// "2024-05-01T09:30:00", local; UTC when SOURCE_DATE_EPOCH is set.
[[nodiscard]] std::string iso_time(double unix_time);

}  // namespace lora
