#include "train/step_inputs.h"

#include <algorithm>

#include "base/rng.h"
#include "diffusion/timestep_sampler.h"
#include "diffusion/training_noise.h"

namespace lora::train {

StepInputs make_step_inputs(const data::Batch& batch,
                            const LossOptions& options,
                            uint64_t seed,
                            int64_t micro_step) {
    const Shape& shape = batch.latents.shape();
    const auto key = static_cast<uint64_t>(micro_step);
    StepInputs inputs;
    inputs.latents = batch.latents;
    inputs.noise = Tensor(DType::kF32, shape);
    const diffusion::NoiseKey noise_key{.seed = seed, .micro_step = key};
    const std::array<int64_t, 4> sizes{shape[0], shape[1], shape[2], shape[3]};
    diffusion::fill_training_noise(
        noise_key, options.noise, sizes, inputs.latents.data<float>(), inputs.noise.data<float>());
    if (options.noise.ip_noise_gamma != 0) {
        inputs.perturbed_noise = Tensor(DType::kF32, shape);
        diffusion::fill_perturbed_noise(noise_key,
                                        options.noise,
                                        sizes,
                                        inputs.noise.data<float>(),
                                        inputs.perturbed_noise.data<float>());
    }
    for (int64_t i = 0; i < shape[0]; ++i) {
        Rng rng(seed, RngStream::kTimestep, key, static_cast<uint32_t>(i));
        const int64_t t = diffusion::draw_timestep(
            rng, {.min = options.min_timestep, .max = options.max_timestep});
        inputs.timesteps.push_back(
            std::clamp<int64_t>(t, 0, diffusion::NoiseSchedule::kNumTimesteps - 1));
    }
    inputs.token_ids = batch.token_ids;
    const std::span<const float> weights = batch.loss_weights.data<float>();
    inputs.loss_weights.assign(weights.begin(), weights.end());
    inputs.mask = batch.mask;
    inputs.token_weights = batch.token_weights;
    const auto word = [](uint64_t value) {
        return static_cast<int32_t>(static_cast<uint32_t>(value));
    };
    inputs.dropout_key = {word(seed), word(seed >> 32U), word(key), word(key >> 32U)};
    return inputs;
}

}  // namespace lora::train
