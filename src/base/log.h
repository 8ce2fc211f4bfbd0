// Log lines for people, to stderr. Libraries call these and never print by themselves.
// Not for machines: per-step facts are events (train/events.h).
// Threads  every function may be called from any thread; a line is written whole.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace lora::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };

// Lines below the level are dropped. Default kInfo.
void set_level(Level level);
[[nodiscard]] Level level();

// Replaces the destination (stderr) of every line; an empty function restores it. A progress bar
// uses this to stay below the lines; tests use it to read them.
void set_sink(std::function<void(Level, std::string_view)> sink);

void write(Level level, std::string_view line);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (level() <= Level::kDebug)
        write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    if (level() <= Level::kInfo)
        write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    if (level() <= Level::kWarning)
        write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    if (level() <= Level::kError)
        write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace lora::log
