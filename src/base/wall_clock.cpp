#include "base/wall_clock.h"

#include <chrono>

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

}  // namespace lora
