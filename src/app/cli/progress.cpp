#include "app/cli/progress.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "app/cli/terminal.h"
#include "base/log.h"

namespace lora::app {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr int64_t kLinesOfRun = 20;
constexpr int kBarWidth = 24;

std::string_view prefix(log::Level level) {
    if (level == log::Level::kWarning) return "warning: ";
    if (level == log::Level::kError) return "error: ";
    return "";
}

}  // namespace

std::string duration_text(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0) return "?";
    const auto whole = std::llround(seconds);
    if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string bytes_text(uint64_t bytes) {
    const double mib = static_cast<double>(bytes) / (1024.0 * 1024.0);
    if (mib < 1024) return fmt::format("{:.0f} MiB", mib);
    return fmt::format("{:.2f} GiB", mib / 1024);
}

Progress::Progress(bool is_terminal) : is_terminal_(is_terminal) {
    if (!is_terminal_) return;
    log::set_sink([this](log::Level level, std::string_view line) {
        clear_bar();
        print_err(fmt::format("{}{}\n", prefix(level), line));
    });
}

Progress::~Progress() {
    if (!is_terminal_) return;
    clear_bar();
    log::set_sink({});
}

void Progress::on_event(const train::Event& event) {
    std::visit([this](const auto& e) { on(e); }, event);
}

void Progress::on(const train::RunStarted& event) {
    log::info(
        "training on {} ({}), {}, seed {}", event.backend, event.device, event.dtype, event.seed);
    if (event.resumed_step > 0) log::info("resumed after step {}", event.resumed_step);
}

void Progress::on(const train::PrecomputeProgress& event) {
    if (event.total <= 0) return;
    if (is_terminal_) {
        draw_bar(fmt::format("encoding pictures {}/{}", event.done, event.total),
                 static_cast<double>(event.done) / static_cast<double>(event.total));
    }
    if (event.done == event.total && last_encoded_ != event.total) {
        log::info("{} pictures are encoded", event.total);
    }
    last_encoded_ = event.done;
}

void Progress::on(const train::PlanReady& event) {
    log::info("{} pictures in {} buckets, {} epochs, {} steps, planned peak {}",
              event.images,
              event.buckets.size(),
              event.epochs,
              event.steps,
              bytes_text(event.planned_peak_bytes));
}

void Progress::on(const train::EpochStarted& event) {
    log::debug("epoch {} of {}", event.epoch, event.epochs);
}

void Progress::on(const train::StepDone& event) {
    const auto now = Clock::now();
    if (!first_step_) {
        first_step_ = now;
        first_step_number_ = event.step;
    }
    const double elapsed = std::chrono::duration<double>(now - *first_step_).count();
    const int64_t done = event.step - first_step_number_;
    const double step_s = done > 0 ? elapsed / static_cast<double>(done) : event.step_ms / 1000;
    const double left_s = step_s * static_cast<double>(event.steps - event.step);
    const std::string rate = step_s > 1 ? fmt::format("{:.2f} s/step", step_s)
                                        : fmt::format("{:.1f} steps/s", 1 / std::max(step_s, 1e-6));
    if (is_terminal_) {
        const bool is_last = event.step == event.steps;
        if (bar_is_shown_ && now - last_draw_ < kRedraw && !is_last) return;
        draw_bar(fmt::format("step {}/{} epoch {} loss {:.4f} {} left {}",
                             event.step,
                             event.steps,
                             event.epoch,
                             event.average_loss,
                             rate,
                             duration_text(left_s)),
                 static_cast<double>(event.step) / static_cast<double>(event.steps));
        last_draw_ = now;
        return;
    }
    const int64_t every = std::max<int64_t>(1, event.steps / kLinesOfRun);
    const bool due =
        event.step == event.steps || event.step - last_line_ >= every || last_line_ == 0;
    if (!due) return;
    last_line_ = event.step;
    log::info("step {}/{} epoch {} loss {:.4f} average {:.4f} {} left {}",
              event.step,
              event.steps,
              event.epoch,
              event.loss,
              event.average_loss,
              rate,
              duration_text(left_s));
}

void Progress::on(const train::FileSaved& event) { log::info("saved {}", event.path); }

void Progress::on(const train::StateSaved& event) {
    log::info("saved the state of step {} in {}", event.step, event.path);
}

void Progress::on(const train::PreviewDone& event) { log::info("preview {}", event.path); }

void Progress::on(const train::ProbeDone& event) {
    log::info("step {}: probe loss {:.3f} of the base model's", event.step, event.relative);
}

void Progress::on(const train::ValidationDone& event) {
    log::info("step {}: validation loss {:.4f}", event.step, event.loss);
}

void Progress::on(const train::WentBack&) { first_step_.reset(); }  // the log has told it

void Progress::on(const train::RunEnded& event) {
    log::info("{} at step {} after {}, average loss {:.4f}, peak memory {}",
              event.status,
              event.step,
              duration_text(event.seconds),
              event.average_loss,
              bytes_text(event.measured_peak_bytes));
}

void Progress::draw_bar(const std::string& text, double share) {
    const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * kBarWidth);
    std::string line = "[" + std::string(static_cast<size_t>(filled), '#') +
                       std::string(static_cast<size_t>(kBarWidth - filled), '.') + "] " + text;
    line.resize(std::min(line.size(), static_cast<size_t>(terminal_columns() - 1)));
    print_err("\r\x1b[K" + line);
    bar_is_shown_ = true;
}

void Progress::clear_bar() {
    if (!bar_is_shown_) return;
    print_err("\r\x1b[K");
    bar_is_shown_ = false;
}

}  // namespace lora::app
