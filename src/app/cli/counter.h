// A line at the screen that counts pieces of work; nothing where stderr is no screen.
// Threads  show() may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace lora::app {

class Counter {
public:
    explicit Counter(std::string what);
    ~Counter();
    Counter(const Counter&) = delete;
    Counter& operator=(const Counter&) = delete;

    void show(int64_t done, int64_t total);
    // For options that want a function; the counter must outlive it.
    [[nodiscard]] std::function<void(int64_t, int64_t)> function();

private:
    std::string what_;
    bool is_terminal_;
    bool is_shown_ = false;
    std::mutex mutex_;
    std::chrono::steady_clock::time_point last_{};
};

}  // namespace lora::app
