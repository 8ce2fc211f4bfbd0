// Ctrl-C and SIGTERM: the first asks the run to stop after its step, the second ends the program.
// Threads  one watcher thread lives as long as the object; at most one object at a time.
#pragma once

#include <memory>
#include <stop_token>

namespace lora::app {

class StopSignals {
public:
    // From here on the signals are caught.
    StopSignals();
    // The system's own handling comes back.
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    [[nodiscard]] std::stop_token token() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lora::app
