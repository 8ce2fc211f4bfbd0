// Walks from noise to a latent: which timesteps the model is asked at, and what each answer does to
// the sample. Not the model, not guidance (train/image_sampler.h calls both).
// Shapes   samples are flat arrays of any one size; elements do not mix.
// Threads  one sampler, one thread. Results as diffusers' schedulers give (betas of the schedule,
//          steps_offset 1; ddim, pndm, plms: leading spacing, no clamping, final alpha that of
//          timestep 0).
// Source   ddim: Song et al., arXiv:2010.02502 eq. 12 (eta 0). pndm, plms: Liu et al.,
//          arXiv:2202.09778 alg. 2. euler, heun, dpm_2 and their ancestral forms: Karras et al.,
//          arXiv:2206.00364 alg. 1 and 2, alpha 1 and 1/2. lms: Adams and Bashforth over sigma.
//          dpmsolver: Lu et al., arXiv:2206.00927; dpmsolver++, dpmpp_2m, dpmsingle: Lu et al.,
//          arXiv:2211.01095 alg. 1 and 2 (midpoint); Karras' sigmas: arXiv:2206.00364 eq. 5.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "diffusion/noise_schedule.h"
#include "diffusion/prediction.h"

namespace lora::diffusion {

enum class SamplerKind : uint8_t {
    kDdim,
    kPndm,  // four Runge-Kutta stages for each of three steps, then linear multistep
    kPlms,  // linear multistep from the start
    kEuler,
    kEulerA,
    kHeun,
    kDpm2,
    kDpm2A,
    kLms,
    kDpmSolver,
    kDpmSolverPp,
    kDpmSingle,
    kDpmpp2mKarras,
};

// kohya's names, and "plms", "dpmpp_2m_karras".
[[nodiscard]] std::optional<SamplerKind> sampler_from_name(std::string_view name);
[[nodiscard]] std::string_view sampler_name(SamplerKind kind);
// As AUTOMATIC1111 names it in its pictures.
[[nodiscard]] std::string_view sampler_label(SamplerKind kind);

class Sampler {
public:
    // Errors  kConfig unless 1 <= num_steps <= 1000.
    Sampler(SamplerKind kind, int64_t num_steps, PredictionType prediction);

    // How often the model is asked; some methods ask twice a step.
    [[nodiscard]] int64_t num_calls() const { return static_cast<int64_t>(timesteps_.size()); }
    // What the UNet gets at each call; may lie between integers.
    [[nodiscard]] const std::vector<double>& timesteps() const { return timesteps_; }
    // Noise level at each call, and after the last: num_calls + 1 values.
    [[nodiscard]] const std::vector<double>& sigmas() const { return sigmas_; }
    // The starting sample is N(0, 1) noise times this.
    [[nodiscard]] double initial_scale() const;
    // The UNet's input at a call is the sample times this.
    [[nodiscard]] double input_scale(int64_t call) const;
    // Whether step() reads fresh N(0, 1) noise.
    [[nodiscard]] bool needs_noise() const;
    // Takes the (guided) answer of the UNet to the given call, in order. `noise` may be empty
    // unless needs_noise().
    void step(int64_t call,
              std::span<const float> prediction,
              std::span<const float> noise,
              std::span<float> sample);

private:
    using Values = std::vector<double>;

    void plan_leading(int64_t num_steps);
    void plan_pndm(int64_t num_steps);
    void plan_plms(int64_t num_steps);
    void plan_sigmas(int64_t num_steps);
    void plan_lambda(int64_t num_steps);
    void plan_karras(int64_t num_steps);
    void add_call(double timestep, double sigma);
    // The predicted noise, whatever the model predicts.
    void predict_noise(int64_t call, std::span<const float> prediction);
    // y += (level after the call - level at it) * slope
    void advance(size_t call, const Values& slope);
    // y = start + (to - from) * slope
    void advance_from_start(double from, double to, const Values& slope);
    void add_noise(double factor, std::span<const float> noise);
    void step_euler_a(size_t call, std::span<const float> noise);
    void step_heun(size_t call);
    void step_midpoint(size_t call, std::span<const float> noise);
    void step_lms(size_t call);
    void step_runge_kutta(size_t call);
    void step_plms(size_t call);
    void step_multistep(size_t call);
    void step_dpmsolver(size_t call);
    void step_dpmpp(size_t call);
    void step_dpmsingle(size_t call);
    [[nodiscard]] Values clean(size_t call) const;

    SamplerKind kind_;
    PredictionType prediction_;
    bool scaled_by_sigma_;  // samples are x0 + sigma noise; else that times alpha
    std::vector<double> timesteps_;
    std::vector<double> sigmas_;
    Values y_;      // x0 + sigma noise
    Values noise_;  // predicted
    Values start_;  // y where a step of several calls began
    Values sum_;
    std::vector<Values> history_;  // earlier predictions, the newest last
};

}  // namespace lora::diffusion
