// What the UNet is asked to predict, and the factors that mix latents and noise accordingly.
// Not the noise table (noise_schedule.h) and not graph code: train/train_step.cpp uses the factors.
// Threads  pure. Source: Ho et al., arXiv:2006.11239 eq. 4; Salimans and Ho, arXiv:2202.00512 app.
// D.
#pragma once

#include <cstdint>

namespace lora::diffusion {

enum class PredictionType : uint8_t {
    kEpsilon,      // the noise
    kVPrediction,  // sqrt(ac) noise - sqrt(1 - ac) latent, ac = alphas_cumprod at the timestep
};

// dst = latent * of_latent + noise * of_noise
struct MixFactors {
    float of_latent = 0;
    float of_noise = 0;
};

// Noisy latent at cumulative alpha `ac` in (0, 1].
[[nodiscard]] MixFactors noisy_factors(double ac);
// Target of the loss.
[[nodiscard]] MixFactors target_factors(PredictionType type, double ac);

}  // namespace lora::diffusion
