// The noise table of Stable Diffusion: 1000 timesteps, betas linear in their square roots from
// 0.00085 to 0.012. Not a sampler's timesteps (sampler.h).
// Threads  const members may be called from many threads.
// Source   Ho et al., arXiv:2006.11239 eq. 4; `scaled_linear` as in diffusers.
#pragma once

#include <cstdint>
#include <vector>

namespace lora::diffusion {

class NoiseSchedule {
public:
    static constexpr int64_t kNumTimesteps = 1000;

    // zero_terminal_snr: the last timestep is pure noise (Lin et al., arXiv:2305.08891 alg. 1).
    explicit NoiseSchedule(bool zero_terminal_snr = false);

    // Product of 1 - beta up to and including t, t in 0..999. Errors  kInternal outside.
    [[nodiscard]] double alphas_cumprod(int64_t t) const;
    // sqrt((1 - ac) / ac): the noise level where the latent has weight 1.
    [[nodiscard]] double sigma(int64_t t) const;
    // sigma at a timestep between the integers, linearly interpolated; clamped to the table.
    [[nodiscard]] double sigma_at(double t) const;
    // The timestep (not rounded) whose sigma this is, by linear interpolation of log sigma.
    [[nodiscard]] double timestep_of(double sigma) const;

private:
    std::vector<double> alphas_cumprod_;
};

}  // namespace lora::diffusion
