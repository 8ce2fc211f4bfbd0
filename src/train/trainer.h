// The training loop: batches to gradients, gradients to updates, updates to events and files.
// Start reading the program here. Everything it uses was opened by training_run.h.
// Threads  one thread; the loader's own is inside the loader.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "base/error.h"
#include "data/loader.h"
#include "train/batch_encoder.h"
#include "train/ema.h"
#include "train/events.h"
#include "train/latents.h"
#include "train/lr_schedule.h"
#include "train/monitor.h"
#include "train/optimizer.h"
#include "train/previews.h"
#include "train/recovery.h"
#include "train/run_saver.h"
#include "train/train_step.h"
#include "train/training_run.h"
#include "train/weight_norms.h"

namespace lora::train {

class Trainer {
public:
    // Everything must outlive the trainer.
    struct Parts {
        const TrainOptions* options = nullptr;
        uint64_t seed = 0;
        data::StepPlan steps;
        const data::BucketedDataset* data = nullptr;
        // A loader that starts where the run stands.
        std::function<std::unique_ptr<data::Loader>(const Progress&)> make_loader;
        const LatentStore* latents = nullptr;
        BatchEncoder* encoder = nullptr;  // with pictures that differ at every draw
        TrainStep* micro_step = nullptr;
        // Makes the micro-step need less memory; throws its argument when it cannot.
        std::function<void(const Error&)> make_smaller;
        FrozenParts frozen;  // as the micro-step is compiled
        // Freezes these parts and no others; gradients are zero afterwards.
        std::function<void(const FrozenParts&)> set_frozen;
        const Network* network = nullptr;
        const ParameterBuffers* buffers = nullptr;
        Optimizer* optimizer = nullptr;
        LossScaler* scaler = nullptr;         // with fp16
        WeightNorms* weight_norms = nullptr;  // with scale_weight_norms
        Ema* ema = nullptr;                   // with ema
        LrScheduleOptions schedule;
        Rates rates;  // at multiplier 1
        RunSaver* saver = nullptr;
        Recovery* recovery = nullptr;
        Monitor* monitor = nullptr;
        Previews* previews = nullptr;  // may be null
        EventSink* events = nullptr;
    };
    Trainer(Parts parts, Progress progress);

    // Trains to the end. A stop request is obeyed after an update: the state is saved. A step that
    // is not finite is gone back from (recovery.h); one that does not fit is made smaller.
    // Errors  kCancelled then; kNumeric when going back does not help; kOutOfMemory.
    RunResult run(const std::stop_token& stop);

private:
    // The next micro-step, and what it ends. False when there is none.
    bool do_batch();
    void begin_epoch(const data::Batch& batch);
    void freeze_due(const data::Batch& batch);
    void accumulate(const data::Batch& batch);
    void update(const data::Batch& batch);
    // The gradient norm; with fp16 the update may be skipped, and the norm then is not finite.
    double apply_update(const Rates& rates);
    void save_due(const data::Batch& batch);
    // Puts the run where it can go on after `problem`, or throws it.
    void survive(const Error& problem);
    void go_back(const Error& problem);
    [[noreturn]] void give_up(const Error& problem, const std::string& cause);
    void continue_from(const Progress& progress);
    [[nodiscard]] bool is_finished() const {
        return progress_.step >= parts_.steps.max_train_steps;
    }
    // Skipped ones move neither the schedule nor the optimizer's own count.
    [[nodiscard]] int64_t updates_done() const {
        return progress_.step - (progress_.loss_scale ? progress_.loss_scale->skipped_updates : 0);
    }
    [[noreturn]] void cancel();
    void end(const char* status);
    RunResult finish();
    [[nodiscard]] RunPlace place() const;
    [[nodiscard]] double seconds() const;

    Parts parts_;
    Progress progress_;
    Progress updated_;  // as it was after the last update
    std::unique_ptr<data::Loader> loader_;
    data::Batch batch_;   // of the running micro-step
    FrozenParts frozen_;  // of parts_, then of the running epoch
    StepResult result_;   // of the last one
    std::optional<double> relative_loss_;
    double last_step_ms_ = 0;
    bool is_updating_ = false;
    double started_s_ = 0;  // steady clock
    double step_started_s_ = 0;
};

}  // namespace lora::train
