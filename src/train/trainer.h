// The training loop: batches to gradients, gradients to updates, updates to events and files.
// Start reading the program here. Everything it uses was opened by training_run.h.
// Threads  one thread; the loader's own is inside the loader.
#pragma once

#include <cstdint>
#include <stop_token>

#include "data/loader.h"
#include "train/events.h"
#include "train/latents.h"
#include "train/lr_schedule.h"
#include "train/optimizer.h"
#include "train/previews.h"
#include "train/run_saver.h"
#include "train/train_step.h"
#include "train/training_run.h"

namespace lora::train {

class Trainer {
public:
    // Everything must outlive the trainer.
    struct Parts {
        const TrainOptions* options = nullptr;
        uint64_t seed = 0;
        data::StepPlan steps;
        data::Loader* loader = nullptr;
        const LatentStore* latents = nullptr;
        TrainStep* micro_step = nullptr;
        Optimizer* optimizer = nullptr;
        backend::Buffer* gradients = nullptr;
        LossScaler* scaler = nullptr;  // with fp16
        LrScheduleOptions schedule;
        Rates rates;  // at multiplier 1
        RunSaver* saver = nullptr;
        Previews* previews = nullptr;  // may be null
        EventSink* events = nullptr;
    };
    Trainer(Parts parts, Progress progress);

    // Trains to the end. A stop request is obeyed after an update: the state is saved.
    // Errors  kCancelled then; kNumeric when loss or gradients are not finite.
    RunResult run(const std::stop_token& stop);

private:
    void begin_epoch(const data::Batch& batch);
    void accumulate(data::Batch& batch);
    void update(const data::Batch& batch);
    // The gradient norm; with fp16 the update may be skipped, and the norm then is not finite.
    double apply_update(const Rates& rates);
    void save_due(const data::Batch& batch);
    [[nodiscard]] bool is_finished() const {
        return progress_.step >= parts_.steps.max_train_steps;
    }
    // Skipped ones move neither the schedule nor the optimizer's own count.
    [[nodiscard]] int64_t updates_done() const {
        return progress_.step - (progress_.loss_scale ? progress_.loss_scale->skipped_updates : 0);
    }
    [[noreturn]] void cancel();
    RunResult finish();
    [[nodiscard]] double seconds() const;

    Parts parts_;
    Progress progress_;
    double last_loss_ = 0;
    double started_s_ = 0;  // steady clock
    double step_started_s_ = 0;
};

}  // namespace lora::train
