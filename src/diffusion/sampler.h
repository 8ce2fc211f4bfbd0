// Walks from noise to a latent: which timesteps the model is asked at, and what each answer does to
// the sample. Not the model, not guidance (train/image_sampler.h calls both).
// Shapes   samples are flat arrays of any one size; elements do not mix.
// Threads  one sampler, one thread. Results as diffusers' schedulers give (betas of the schedule,
//          steps_offset 1; ddim: leading spacing, no clamping, final alpha that of timestep 0).
// Source   ddim: Song et al., arXiv:2010.02502 eq. 12 (eta 0). euler, euler_a: Karras et al.,
//          arXiv:2206.00364 alg. 2, and its ancestral form. dpmpp_2m: Lu et al.,
//          arXiv:2211.01095 alg. 2 (midpoint), with the sigmas of arXiv:2206.00364 eq. 5.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "diffusion/noise_schedule.h"
#include "diffusion/prediction.h"

namespace lora::diffusion {

enum class SamplerKind : uint8_t { kDdim, kEuler, kEulerA, kDpmpp2mKarras };

// "ddim", "euler", "euler_a", "dpmpp_2m_karras", and kohya's "k_euler", "k_euler_a".
[[nodiscard]] std::optional<SamplerKind> sampler_from_name(std::string_view name);
[[nodiscard]] std::string_view sampler_name(SamplerKind kind);

class Sampler {
public:
    // Errors  kConfig unless 1 <= num_steps <= 1000.
    Sampler(SamplerKind kind, int64_t num_steps, PredictionType prediction);

    [[nodiscard]] int64_t num_steps() const { return static_cast<int64_t>(timesteps_.size()); }
    // What the UNet gets at each step; may lie between integers.
    [[nodiscard]] const std::vector<double>& timesteps() const { return timesteps_; }
    // Noise level before each step, and after the last: num_steps + 1 values.
    [[nodiscard]] const std::vector<double>& sigmas() const { return sigmas_; }
    // The starting sample is N(0, 1) noise times this.
    [[nodiscard]] double initial_scale() const;
    // The UNet's input at a step is the sample times this.
    [[nodiscard]] double input_scale(int64_t step) const;
    // Whether step() reads fresh N(0, 1) noise.
    [[nodiscard]] bool needs_noise() const { return kind_ == SamplerKind::kEulerA; }
    // One step: `prediction` is the (guided) answer of the UNet. Steps are taken in order.
    // `noise` may be empty unless needs_noise().
    void step(int64_t index,
              std::span<const float> prediction,
              std::span<const float> noise,
              std::span<float> sample);

private:
    void plan_ddim(int64_t num_steps);
    void plan_euler(int64_t num_steps);
    void plan_karras(int64_t num_steps);
    // Factors of the update: sample = a sample + b (predicted noise).
    void step_linear(double of_sample, double of_noise, std::span<float> sample) const;
    void step_dpmpp(int64_t index, std::span<float> sample);
    // Fills noise_ with the predicted noise, whatever the model predicts.
    void predict_noise(int64_t index,
                       std::span<const float> prediction,
                       std::span<const float> sample);

    SamplerKind kind_;
    PredictionType prediction_;
    std::vector<double> timesteps_;
    std::vector<double> sigmas_;
    std::vector<float> noise_;
    std::vector<float> x0_;           // dpmpp: predicted clean sample
    std::vector<float> previous_x0_;  // of the step before
};

}  // namespace lora::diffusion
