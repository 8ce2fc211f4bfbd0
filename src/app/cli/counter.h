// A line at the screen that counts pieces of work, with rate and time left. Where stderr is no
// screen: nothing, or a log line now and then for work that takes long.
// Threads  show() may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

namespace lora::app {

// "pictures 12/400 3.2/s left 2:01", "tiles 3/9 4.10 s each left 0:25"; without the rate until one
// piece is done. `seconds` is what `done_here` pieces took.
[[nodiscard]] std::string work_text(
    const std::string& what, int64_t done, int64_t total, int64_t done_here, double seconds);

class Counter {
public:
    // `line_every`: between log lines where stderr is no screen; 0: none.
    explicit Counter(std::string what, std::chrono::seconds line_every = std::chrono::seconds(0));
    ~Counter();
    Counter(const Counter&) = delete;
    Counter& operator=(const Counter&) = delete;

    void show(int64_t done, int64_t total);
    // For options that want a function; the counter must outlive it.
    [[nodiscard]] std::function<void(int64_t, int64_t)> function();

private:
    using Clock = std::chrono::steady_clock;

    std::string what_;
    std::chrono::seconds line_every_;
    bool is_terminal_;
    bool is_shown_ = false;
    std::mutex mutex_;
    Clock::time_point last_{};
    std::optional<Clock::time_point> first_;
    int64_t first_done_ = 0;  // what earlier runs did is no measure
};

}  // namespace lora::app
