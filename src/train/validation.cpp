#include "train/validation.h"

#include <algorithm>

#include "train/step_inputs.h"

namespace lora::train {

std::vector<int64_t> validation_timesteps(int64_t min, int64_t max) {
    constexpr int64_t kInner = 4;
    std::vector<int64_t> timesteps;
    for (int64_t i = 1; i <= kInner; ++i) {
        timesteps.push_back(std::min<int64_t>(min + (max - min) * i / (kInner + 1), 999));
    }
    return timesteps;
}

Validation::Validation(const Parts& parts)
    : parts_(parts), maker_(*parts.data, parts.loader, parts.latents) {}

double Validation::measure() {
    const std::vector<int64_t> timesteps =
        validation_timesteps(parts_.loss->min_timestep, parts_.loss->max_timestep);
    int64_t batches = parts_.loader.plan.num_batches;
    if (parts_.max_batches > 0) batches = std::min(batches, parts_.max_batches);
    double sum = 0;
    int64_t draws = 0;
    for (int64_t i = 0; i < batches; ++i) {
        data::Batch batch = maker_.make(1, i);
        if (parts_.fill_masks) parts_.fill_masks(batch);
        for (const int64_t timestep : timesteps) {
            StepInputs inputs = make_step_inputs(batch, *parts_.loss, parts_.loader.seed, draws++);
            std::fill(inputs.timesteps.begin(), inputs.timesteps.end(), timestep);
            sum += parts_.evaluator->run(inputs).loss;
        }
    }
    return sum / static_cast<double>(draws);
}

}  // namespace lora::train
