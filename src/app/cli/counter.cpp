#include "app/cli/counter.h"

#include <fmt/format.h>

#include "app/cli/progress.h"
#include "app/cli/terminal.h"
#include "base/log.h"

namespace lora::app {

std::string work_text(
    const std::string& what, int64_t done, int64_t total, int64_t done_here, double seconds) {
    std::string out = fmt::format("{} {}/{}", what, done, total);
    if (done_here <= 0 || seconds <= 0) return out;
    const double each_s = seconds / static_cast<double>(done_here);
    out +=
        each_s > 1 ? fmt::format(" {:.2f} s each", each_s) : fmt::format(" {:.1f}/s", 1 / each_s);
    return out + " left " + duration_text(each_s * static_cast<double>(total - done));
}

Counter::Counter(std::string what, std::chrono::seconds line_every)
    : what_(std::move(what)), line_every_(line_every), is_terminal_(stderr_is_terminal()) {}

Counter::~Counter() {
    if (is_shown_) print_err("\r\x1b[K");
}

void Counter::show(int64_t done, int64_t total) {
    constexpr std::chrono::milliseconds kRedraw{100};
    if (!is_terminal_ && line_every_.count() == 0) return;
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (!first_) {
        first_ = now;
        first_done_ = done;
        if (!is_terminal_) last_ = now;  // short work has no lines
    }
    if (now - last_ < (is_terminal_ ? Clock::duration(kRedraw) : Clock::duration(line_every_))) {
        return;
    }
    last_ = now;
    const std::string text = work_text(what_,
                                       done,
                                       total,
                                       done - first_done_,
                                       std::chrono::duration<double>(now - *first_).count());
    if (!is_terminal_) {
        log::info("{}", text);
        return;
    }
    is_shown_ = true;
    print_err(fmt::format("\r\x1b[K{} ", text));
}

std::function<void(int64_t, int64_t)> Counter::function() {
    return [this](int64_t done, int64_t total) { show(done, total); };
}

}  // namespace lora::app
