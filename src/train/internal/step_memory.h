// Memory of a training step before it runs: what lies beside the arena, what the arena may take
// under
// --max_memory, and which change would make a step fit that does not. Threads  one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "train/train_step.h"

namespace lora::train {

// What does not depend on the plan.
struct StepMemory {
    const backend::Backend* backend = nullptr;
    uint64_t limit_bytes = 0;  // --max_memory; 0: none
    // In the machine's memory: latents and the copies that saving makes.
    size_t host_bytes = 0;
    OptimizerSpec optimizer = {};
    bool keeps_average = false;  // ema

    // Everything beside the arena that counts: on a device with memory of its own frozen weights,
    // parameters, gradients, their average and the optimizer's states, inputs and the backend's
    // own; else host memory too, but not the weights, which are mapped files.
    [[nodiscard]] size_t beside_arena(const TrainModel& model, size_t input_bytes) const;
    // The arena's limit; 0: none.
    [[nodiscard]] size_t arena_limit(const TrainModel& model) const;
};

// Bytes of the frozen weights that the steps of a model read, text encoder included.
[[nodiscard]] size_t weight_bytes(const TrainModel& model);

// A change that may make a step fit, in the options' words.
struct MemoryRemedy {
    std::string words;  // "--base_quant int8"
    TrainModel model;
    int64_t batch = 1;
};
// The first remedy that fits, as a hint; what to try when none does. `largest` is the shape that
// needs most.
[[nodiscard]] std::string remedy_hint(const StepMemory& memory,
                                      const StepShape& largest,
                                      const std::vector<MemoryRemedy>& remedies);

}  // namespace lora::train
