#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <mutex>

#include "base/utf8.h"

namespace lora::log {
namespace {

struct State {
    std::atomic<Level> level{Level::kInfo};
    std::mutex mutex;
    std::function<void(Level, std::string_view)> sink;
};

State& state() {
    static State instance;
    return instance;
}

const char* prefix(Level level) {
    switch (level) {
        case Level::kDebug: return "debug: ";
        case Level::kWarning: return "warning: ";
        case Level::kError: return "error: ";
        default: return "";
    }
}

}  // namespace

void set_level(Level level) { state().level = level; }
Level level() { return state().level; }

void set_sink(std::function<void(Level, std::string_view)> sink) {
    const std::lock_guard lock(state().mutex);
    state().sink = std::move(sink);
}

void write(Level level, std::string_view line) {
    const std::lock_guard lock(state().mutex);
    if (state().sink) {
        state().sink(level, line);
        return;
    }
    std::string text = prefix(level);
    text += line;
    text += '\n';
    if (!is_valid_utf8(text)) text = utf32_to_utf8(utf8_to_utf32(text));  // names of files
    std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace lora::log
