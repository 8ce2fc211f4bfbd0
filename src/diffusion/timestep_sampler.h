// Draws the training timestep of a sample. Not the timesteps of a sampler (sampler.h).
// Threads  pure. Source: training-semantics 5.2.
#pragma once

#include <cstdint>

#include "base/rng.h"

namespace lora::diffusion {

struct TimestepRange {
    int64_t min = 0;
    int64_t max = 1000;  // exclusive
};

// Uniform in [min, max); max itself when the range is empty.
[[nodiscard]] int64_t draw_timestep(Rng& rng, const TimestepRange& range);

}  // namespace lora::diffusion
