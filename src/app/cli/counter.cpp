#include "app/cli/counter.h"

#include <fmt/format.h>

#include "app/cli/terminal.h"

namespace lora::app {

Counter::Counter(std::string what) : what_(std::move(what)), is_terminal_(stderr_is_terminal()) {}

Counter::~Counter() {
    if (is_shown_) print_err("\r\x1b[K");
}

void Counter::show(int64_t done, int64_t total) {
    constexpr std::chrono::milliseconds kRedraw{100};
    if (!is_terminal_) return;
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kRedraw) return;
    last_ = now;
    is_shown_ = true;
    print_err(fmt::format("\r{} {}/{} ", what_, done, total));
}

std::function<void(int64_t, int64_t)> Counter::function() {
    return [this](int64_t done, int64_t total) { show(done, total); };
}

}  // namespace lora::app
