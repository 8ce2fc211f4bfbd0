// A run as its events.jsonl tells it: for `lora status` and the run's page. Not the writing of
// events (events.h). Threads  plain values. Errors  kIo; kFormat naming file and line. A last line
// without its end is
//          one that is being written: it is left out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "train/turn_watch.h"

namespace lora::train {

struct HistoryStep {
    int64_t step = 0;
    int64_t epoch = 0;
    double loss = 0;
    double average_loss = 0;
    std::optional<double> relative_loss;
    double lr_unet = 0;
    double lr_text_encoder = 0;
    double step_ms = 0;
};

struct HistoryFile {
    std::string path;
    int64_t step = 0;
    int64_t epoch = 0;
    // Of previews.
    int64_t index = 0;
    std::string prompt;
};

struct RunHistory {
    std::string run;
    std::string output_name;
    std::string backend;
    std::string device;
    std::string dtype;
    std::string status = "running";  // or what run_ended says
    double started = 0;              // Unix seconds
    double last_time = 0;            // of the newest event
    int64_t resumed_step = 0;
    int64_t images = 0;
    int64_t total_steps = 0;
    int64_t total_epochs = 0;
    // Steps that were gone back from are not in it.
    std::vector<HistoryStep> steps;
    std::vector<CurvePoint> probes;
    std::vector<CurvePoint> validations;
    std::vector<HistoryFile> files;
    std::vector<HistoryFile> states;
    std::vector<HistoryFile> previews;
    std::vector<std::string> troubles;  // causes of going back
    std::optional<CurvePoint> turn;
    std::string advised_file;
    std::optional<double> best_weight;

    void add(const Json& event);
    [[nodiscard]] int64_t step() const;
    // Median of the last steps; 0 when there are none.
    [[nodiscard]] double step_ms() const;
    [[nodiscard]] double seconds_left() const;
    // "running", "done", "cancelled", "failed", or "silent": no end was written and nothing was
    // heard for longer than a run is ever silent, so it was killed or the machine went down.
    [[nodiscard]] std::string state_at(double now) const;
};

[[nodiscard]] RunHistory read_history(const std::string& events_path);
// `folder` is a run's folder, or one that holds such folders: all of them, the newest first; those
// that cannot be read are told and left out. Errors  kIo when there is none.
[[nodiscard]] std::vector<RunHistory> find_histories(const std::string& folder);

// Exponential mean of the values so far, as TensorBoard smooths (corrected at the start).
[[nodiscard]] std::vector<double> smoothed(const std::vector<double>& values, double weight);

}  // namespace lora::train
