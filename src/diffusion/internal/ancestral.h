// How an ancestral sampler goes from one noise level to another: down to a lower one, and up again
// with fresh noise, so that the variances add up.
#pragma once

namespace lora::diffusion {

struct AncestralStep {
    double down = 0;
    double up = 0;  // factor of the fresh noise; down^2 + up^2 = to^2
};
[[nodiscard]] AncestralStep ancestral_step(double from, double to);

}  // namespace lora::diffusion
