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
    double noise_offset = 0;          // shifts each channel by offset * N(0, 1); 0: off
    int64_t multires_iterations = 0;  // 0: off
    double multires_discount = 0.3;
};

// Where in the run the batch is.
struct NoiseKey {
    uint64_t seed = 0;
    uint64_t micro_step = 0;
};

void fill_training_noise(const NoiseKey& key,
                         const TrainingNoiseOptions& options,
                         const std::array<int64_t, 4>& shape,
                         std::span<float> dst);

}  // namespace lora::diffusion
