#include "base/wall_clock.h"

#include <chrono>
#include <cstdlib>

#include <fmt/format.h>

namespace lora {

double unix_time() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(now).count()) /
           1e6;
}

std::tm calendar_time(double unix_time, bool utc) {
    const auto seconds = static_cast<std::time_t>(unix_time);
    std::tm fields{};
#ifdef _WIN32
    utc ? gmtime_s(&fields, &seconds) : localtime_s(&fields, &seconds);
#else
    utc ? gmtime_r(&seconds, &fields) : localtime_r(&seconds, &fields);
#endif
    return fields;
}

std::optional<int64_t> source_date_epoch() {
    const char* text = std::getenv("SOURCE_DATE_EPOCH");
    if (text == nullptr || *text == '\0') return std::nullopt;
    char* end = nullptr;
    const int64_t value = std::strtoll(text, &end, 10);
    if (*end != '\0') return std::nullopt;
    return value;
}

double file_time() {
    if (const auto fixed = source_date_epoch()) return static_cast<double>(*fixed);
    return unix_time();
}

std::string iso_time(double unix_time) {
    const std::tm fields = calendar_time(unix_time, source_date_epoch().has_value());
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                       fields.tm_year + 1900,
                       fields.tm_mon + 1,
                       fields.tm_mday,
                       fields.tm_hour,
                       fields.tm_min,
                       fields.tm_sec);
}

}  // namespace lora
