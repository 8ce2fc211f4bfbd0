// Decides when a running training is measured, tells what was found, and judges it: the probe loss
// at under 2 % of the run's time, the loss of pictures that were set aside, when that turns up, and
// which saved file comes just after. Not the measuring (probe.h, validation.h). Threads  the
// training thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "train/events.h"
#include "train/monitor_state.h"
#include "train/probe.h"
#include "train/train_options.h"
#include "train/validation.h"

namespace lora::train {

// Where the run stands when it is measured.
struct RunPlace {
    int64_t step = 0;
    int64_t epoch = 1;
    double average_loss = 0;
};

// For the end of a run; what was not measured is absent.
struct MonitorVerdict {
    std::optional<double> probe_relative;
    std::optional<double> probe_trend;  // over the last third, see trend()
    std::optional<double> best_weight;  // at which the probe loss is least
    std::string advised_file;
};

// Steps between two probes so that they take less than 2 % of the time, from what one of either
// takes.
[[nodiscard]] int64_t probe_interval(double probe_ms, double step_ms);

class Monitor final : public EventSink {
public:
    // Everything must outlive the monitor; probe and validation may be null.
    struct Parts {
        const MonitorOptions* options = nullptr;
        Probe* probe = nullptr;
        Validation* validation = nullptr;
        const Network* network = nullptr;
        std::span<const float> base_values = {};  // parameters that change nothing
        EventSink* events = nullptr;
    };
    explicit Monitor(const Parts& parts) : parts_(parts) {}

    // Others, or none, after memory ran out.
    void set_measures(Probe* probe, Validation* validation);
    // Hears which files are saved.
    void on_event(const Event& event) override;

    // Before the first step of this session: asks the base model, or takes its answers from the
    // state.
    void at_start(MonitorState& state);
    // A micro-step's loss over what the base model has at these timesteps.
    [[nodiscard]] std::optional<double> relative(std::span<const float> losses,
                                                 std::span<const int64_t> timesteps) const;
    // The run stands at an earlier step again: what was found after it is not known any more.
    void go_back(const MonitorState& state, int64_t step);
    // `step_ms`: time of the training step alone.
    void after_step(MonitorState& state, const RunPlace& place, double step_ms);
    void after_epoch(MonitorState& state, const RunPlace& place);
    // A new validation loss: has it turned up?
    void judge(MonitorState& state, const CurvePoint& point);
    [[nodiscard]] MonitorVerdict at_end(MonitorState& state, const RunPlace& place);

private:
    void ask(MonitorState& state, const RunPlace& place);
    void validate(MonitorState& state, const RunPlace& place, bool ends_epoch);
    void schedule_probe(int64_t step);
    [[nodiscard]] bool probe_is_due(int64_t step) const;
    void advise();
    [[nodiscard]] std::optional<double> sweep();

    Parts parts_;
    std::vector<double> step_ms_;  // of the last steps
    double probe_ms_ = 0;          // 0: not known
    int64_t next_probe_ = 0;       // 0: not known
    std::vector<FileSaved> saved_;
    std::optional<CurvePoint> turn_;
    std::optional<FileSaved> advised_;
};

}  // namespace lora::train
