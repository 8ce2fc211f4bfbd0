// How many batches, updates and epochs a run has. Pure arithmetic.
// Source: training-semantics 3.7 and 3.8 (kohya sd-scripts, one process).
#pragma once

#include <cstdint>

namespace lora::data {

struct StepOptions {
    int64_t gradient_accumulation_steps = 1;
    int64_t max_train_steps = 1600;  // used when max_train_epochs is 0
    int64_t max_train_epochs = 0;    // wins over max_train_steps
};

struct StepPlan {
    int64_t num_batches = 0;      // micro-steps an epoch
    int64_t steps_per_epoch = 0;  // updates an epoch; the last may gather fewer micro-steps
    int64_t num_epochs = 0;
    int64_t max_train_steps = 0;  // the run ends here, also inside an epoch
};

// Errors  kConfig when an option is not positive, kData when there are no batches.
[[nodiscard]] StepPlan plan_steps(int64_t num_batches, const StepOptions& options);

// Batches of a bucket with `count` entries: the last one may be short.
[[nodiscard]] int64_t num_batches(int64_t count, int64_t batch_size);

// Whether micro-step `batch_idx` (0-based) of an epoch ends with an update.
[[nodiscard]] bool is_update(const StepPlan& plan, int64_t batch_idx, int64_t accumulation);

// Updates finished before micro-step (epoch 1-based, batch_idx 0-based).
[[nodiscard]] int64_t steps_before(const StepPlan& plan,
                                   int64_t epoch,
                                   int64_t batch_idx,
                                   int64_t accumulation);

// save_n_epoch_ratio k: every how many epochs to save.
[[nodiscard]] int64_t save_every_from_ratio(const StepPlan& plan, int64_t ratio);

}  // namespace lora::data
