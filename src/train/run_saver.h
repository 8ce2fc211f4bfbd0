// Writes what a run leaves behind: LoRA files and train states, when they are due, and deletes the
// old ones. Not their formats (lora_file.h, state.h) nor names (save_names.h). Errors   kIo; what
// was saved before stays whole. Threads  one thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "train/ema.h"
#include "train/events.h"
#include "train/loss_average.h"
#include "train/loss_scaler.h"
#include "train/metadata.h"
#include "train/optimizer.h"
#include "train/state.h"

namespace lora::train {

// How far a run has come: what the next batch is.
struct Progress {
    int64_t step = 0;        // updates done
    int64_t next_epoch = 1;  // 1-based
    int64_t next_batch = 0;
    LossAverage losses;
    std::optional<LossScale> loss_scale;  // with fp16
    double rate_factor = 1;               // below 1 after steps that were not finite
    MonitorState monitor;
};
// As a state remembers it.
[[nodiscard]] Progress progress_of(const StateSummary& summary);

class RunSaver {
public:
    struct Parts {
        const TrainOptions* options = nullptr;
        const Network* network = nullptr;
        const ParameterBuffers* buffers = nullptr;
        const Optimizer* optimizer = nullptr;
        const Ema* ema = nullptr;  // may be null
        MetadataInputs metadata;   // model hashes are filled in at the first save
        Settings fixed;
        Settings free;
        std::string plan;  // identity of plans and kernels
        EventSink* events = nullptr;
    };
    explicit RunSaver(Parts parts) : parts_(std::move(parts)) {}

    // After update `progress.step` of the given epoch (1-based): files and states of steps.
    void after_step(const Progress& progress, int64_t epoch);
    // After the last batch of the epoch: files and states of epochs.
    void after_epoch(const Progress& progress, int64_t epoch);
    // The final file (and state); rolling states go. Returns the file's path.
    std::string save_final(const Progress& progress);
    // The state of a run that is stopped. Returns its path.
    std::string save_stopped(const Progress& progress);

private:
    [[nodiscard]] std::string path_of(const std::string& name) const;
    void save_file(const std::string& name, int64_t step, int64_t epoch);
    void write_network(const std::string& name,
                       std::span<const float> values,
                       const io::Metadata& metadata) const;
    void remove_file(const std::string& name) const;
    void save_run_state(const std::string& name, const Progress& progress, int64_t epoch);
    void save_rolling(const Progress& progress, int64_t epoch);
    void hash_models();

    Parts parts_;
    bool has_hashes_ = false;
};

}  // namespace lora::train
