#include "diffusion/timestep_sampler.h"

namespace lora::diffusion {

int64_t draw_timestep(Rng& rng, const TimestepRange& range) {
    if (range.min >= range.max) return range.max;
    const auto width = static_cast<uint64_t>(range.max - range.min);
    return range.min + static_cast<int64_t>(rng.below(width));
}

}  // namespace lora::diffusion
