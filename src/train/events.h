// What happens during a run, for machines: structs, and sinks that take them. Log lines for people
// are base/log.h. The JSON form is docs/formats/events.md.
// Threads  a sink is called from the training thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "train/expected_loss.h"

namespace lora::train {

struct RunStarted {
    std::string run;  // name of the run's folder
    std::string output_name;
    std::string backend;  // "cpu"
    std::string device;
    std::string dtype;  // compute type
    uint64_t seed = 0;
    int64_t resumed_step = 0;  // 0: a fresh run
};

struct PrecomputeProgress {
    int64_t done = 0;  // pictures whose latents are ready
    int64_t total = 0;
};

struct PlanReady {
    struct Bucket {
        int64_t width_px = 0;
        int64_t height_px = 0;
        int64_t count = 0;  // pictures times repeats
    };
    int64_t images = 0;
    std::vector<Bucket> buckets;
    int64_t steps = 0;
    int64_t epochs = 0;
    uint64_t planned_peak_bytes = 0;
    double estimated_s = 0;
};

struct EpochStarted {
    int64_t epoch = 1;  // 1-based
    int64_t epochs = 1;
};

// Of scale_weight_norms.
struct MaxNorm {
    int64_t keys_scaled = 0;  // modules that were too long
    double average = 0;       // of the norms of all modules after it
    double largest = 0;
};

struct StepDone {
    int64_t step = 0;  // updates done, 1-based
    int64_t steps = 0;
    int64_t epoch = 1;
    double loss = 0;                           // of the last micro-step
    std::optional<double> relative_loss = {};  // over the base model's at these timesteps
    double average_loss = 0;                   // semantics 13, loss/average
    double lr_unet = 0;
    double lr_text_encoder = 0;
    double d = 0;  // estimate of D-Adaptation and Prodigy, by which rates are multiplied; 0: none
    // Rates by group's name, when there are more groups than parts.
    std::vector<std::pair<std::string, double>> group_rates = {};
    double grad_norm = 0;
    std::optional<MaxNorm> max_norm = {};
    double step_ms = 0;
};

// What the base model's loss is on the run's pictures; relative losses are counted from it.
struct BaseMeasured {
    std::vector<ExpectedLoss::Point> points;
};

// The fixed questions (probe.h), asked of the model as it stands.
struct ProbeDone {
    int64_t step = 0;
    int64_t epoch = 0;
    double loss = 0;
    double relative = 1;           // over the base model's
    std::optional<double> layout;  // the same at high, middle and low noise
    std::optional<double> form;
    std::optional<double> detail;
    std::vector<std::pair<std::string, double>> concepts;  // by training folder, when several
    double ms = 0;
};

struct ValidationDone {
    int64_t step = 0;
    int64_t epoch = 0;
    bool ends_epoch = false;
    double loss = 0;
    double divergence = 0;  // from the average training loss
    double ms = 0;
};

// The validation loss has risen twice in a row above its lowest value.
struct TurnedUp {
    int64_t turn_step = 0;  // of the lowest value
    int64_t turn_epoch = 0;
    double turn_loss = 0;
    int64_t step = 0;  // of the newest
    double loss = 0;
};

// The first file saved after the turn.
struct AdvisedSave {
    std::string path;
    int64_t step = 0;
    int64_t epoch = 0;
};

// relative of the finished LoRA used at other weights.
struct WeightSweep {
    std::vector<double> weights;
    std::vector<double> relative;
    double best = 1;
};

struct FileSaved {
    std::string path;
    int64_t step = 0;
    int64_t epoch = 0;
};

struct StateSaved {
    std::string path;
    int64_t step = 0;
    int64_t epoch = 0;
};

struct PreviewDone {
    std::string path;
    int64_t step = 0;
    int64_t epoch = 0;
    int64_t index = 0;  // of the prompt
    std::string prompt;
};

// A step was not finite: the run goes on from an earlier one.
struct WentBack {
    int64_t failed_step = 0;
    int64_t step = 0;  // updates that stay
    std::string cause;
    double rate_factor = 1;  // of the learning rate from there on
};

struct RunEnded {
    std::string status;  // "done", "cancelled" or "failed"
    int64_t step = 0;
    double seconds = 0;
    double average_loss = 0;
    uint64_t measured_peak_bytes = 0;
    std::string output_file;
    std::optional<double> probe_relative = {};
    std::optional<double> probe_trend = {};  // change over the last third, in shares
    std::optional<double> best_weight = {};
    std::string advised_file = {};  // empty: the validation loss has not turned up
};

using Event = std::variant<RunStarted,
                           PrecomputeProgress,
                           PlanReady,
                           EpochStarted,
                           StepDone,
                           FileSaved,
                           StateSaved,
                           PreviewDone,
                           WentBack,
                           BaseMeasured,
                           ProbeDone,
                           ValidationDone,
                           TurnedUp,
                           AdvisedSave,
                           WeightSweep,
                           RunEnded>;

class EventSink {
public:
    virtual ~EventSink() = default;
    virtual void on_event(const Event& event) = 0;
};

// Passes every event to several sinks, in order. They must outlive it.
class TeeSink final : public EventSink {
public:
    explicit TeeSink(std::vector<EventSink*> sinks) : sinks_(std::move(sinks)) {}
    void on_event(const Event& event) override;

private:
    std::vector<EventSink*> sinks_;
};

// One JSON object a line, flushed line by line. The folder is made when missing.
// Errors  kIo naming the path.
class JsonLinesSink final : public EventSink {
public:
    explicit JsonLinesSink(const std::string& path);
    ~JsonLinesSink() override;
    void on_event(const Event& event) override;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The line without the newline; `time` is Unix seconds.
[[nodiscard]] std::string event_json(const Event& event, double time);

}  // namespace lora::train
