#include "app/cli/stop.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/log.h"

namespace lora::app {
namespace {

// A signal handler may touch little else than this.
std::atomic<int> signals_seen{0};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void on_signal(int number) {
    if (signals_seen.fetch_add(1) >= 1) std::_Exit(exit_code(ErrorCode::kCancelled));
    std::signal(number, on_signal);  // some systems forget it after the first
}

}  // namespace

struct StopSignals::Impl {
    std::stop_source source;
    std::jthread watcher;
};

StopSignals::StopSignals() : impl_(std::make_unique<Impl>()) {
    signals_seen = 0;
    impl_->watcher = std::jthread([source = impl_->source](const std::stop_token& end) mutable {
        while (!end.stop_requested()) {
            if (signals_seen > 0 && source.request_stop()) {
                log::info("stopping after this step; once more to end at once");
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    });
    std::signal(SIGINT, on_signal);
    std::signal(SIGTERM, on_signal);
}

StopSignals::~StopSignals() {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
}

std::stop_token StopSignals::token() const { return impl_->source.get_token(); }

}  // namespace lora::app
