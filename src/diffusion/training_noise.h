// The noise that a training batch is mixed with: normal numbers keyed by (seed, micro-step,
// sample), with kohya's offset and multi-resolution options. Drawn on the host, so every backend
// sees the same. Not the sampler's noise. Shapes   dst is [N, C, H, W] row-major. Threads  pure.
// Source: training-semantics 5.3.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lora::diffusion {

struct TrainingNoiseOptions {
    double noise_offset = 0;                    // shifts each channel by offset * N(0, 1); 0: off
    bool noise_offset_random_strength = false;  // times U(0, 1), one draw a batch
    // Added to the offset of a channel: times the mean absolute value of its latent. Needs
    // noise_offset.
    double adaptive_noise_scale = 0;
    int64_t multires_iterations = 0;  // 0: off
    double multires_discount = 0.3;
    double ip_noise_gamma = 0;  // 0: off
    bool ip_noise_gamma_random_strength = false;
};

// Where in the run the batch is.
struct NoiseKey {
    uint64_t seed = 0;
    uint64_t micro_step = 0;
};

// `latents`, of the same shape, are read for adaptive_noise_scale only.
void fill_training_noise(const NoiseKey& key,
                         const TrainingNoiseOptions& options,
                         const std::array<int64_t, 4>& shape,
                         std::span<const float> latents,
                         std::span<float> dst);

// Input perturbation (Ning et al., arXiv:2301.11706): dst = noise + gamma * N(0, 1), what the
// latents are mixed with while the target stays `noise`.
void fill_perturbed_noise(const NoiseKey& key,
                          const TrainingNoiseOptions& options,
                          const std::array<int64_t, 4>& shape,
                          std::span<const float> noise,
                          std::span<float> dst);

}  // namespace lora::diffusion
