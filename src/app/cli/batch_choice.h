// The batch of 4, 2 or 1 that memory holds (M103), for lora train and lora data plan.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "train/training_run.h"

namespace lora::app {

struct BatchChoice {
    int64_t batch = 1;
    std::unique_ptr<train::TrainingRun> run;
};

// `open` opens the run with a batch. 0 for `max_memory_bytes`: what the machine has free, or on a
// card what it can give. Errors  those of opening the run with one picture a step.
[[nodiscard]] BatchChoice choose_batch(
    uint64_t max_memory_bytes,
    const backend::Backend& backend,
    const std::function<std::unique_ptr<train::TrainingRun>(int64_t)>& open);

}  // namespace lora::app
