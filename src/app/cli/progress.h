// Shows a run to the person at the screen: a bar with rate and time left on a terminal, plain lines
// otherwise. One of the sinks of train/events.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "train/events.h"

namespace lora::app {

// "3:07", "1:02:45"
[[nodiscard]] std::string duration_text(double seconds);
// "812 MiB", "3.4 GiB"
[[nodiscard]] std::string bytes_text(uint64_t bytes);

// While it lives, log lines go through it so that they do not tear the bar.
class Progress final : public train::EventSink {
public:
    // `is_terminal` false: plain lines, about twenty over a run.
    explicit Progress(bool is_terminal);
    ~Progress() override;
    void on_event(const train::Event& event) override;

private:
    using Clock = std::chrono::steady_clock;

    void on(const train::RunStarted& event);
    void on(const train::PrecomputeProgress& event);
    void on(const train::PlanReady& event);
    void on(const train::EpochStarted& event);
    void on(const train::StepDone& event);
    void on(const train::FileSaved& event);
    void on(const train::StateSaved& event);
    void on(const train::PreviewDone& event);
    void on(const train::WentBack& event);
    void on(const train::BaseMeasured&) {}
    void on(const train::ProbeDone& event);
    void on(const train::ValidationDone& event);
    void on(const train::TurnedUp&) {}  // the log has told it, as the next two
    void on(const train::AdvisedSave&) {}
    void on(const train::WeightSweep&) {}
    void on(const train::RunEnded& event);

    void draw_bar(const std::string& text, double share);
    void clear_bar();

    bool is_terminal_;
    bool bar_is_shown_ = false;
    std::string bar_;
    std::optional<Clock::time_point> first_step_;  // when the first step of this session was done
    int64_t first_step_number_ = 0;
    int64_t last_line_ = 0;  // step of the last plain line
    int64_t last_encoded_ = 0;
    Clock::time_point last_draw_{};
};

}  // namespace lora::app
