// Names and levels of the samplers; their steps are in sampler_steps.cpp.
#include "diffusion/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "diffusion/internal/ancestral.h"

namespace lora::diffusion {
namespace {

struct NamedSampler {
    std::string_view name;
    SamplerKind kind;
    std::string_view label = {};
};
// The first name of a kind is its own.
constexpr std::array<NamedSampler, 19> kSamplers{{
    {"ddim", SamplerKind::kDdim, "DDIM"},
    {"pndm", SamplerKind::kPndm, "PNDM"},
    {"plms", SamplerKind::kPlms, "PLMS"},
    {"euler", SamplerKind::kEuler, "Euler"},
    {"euler_a", SamplerKind::kEulerA, "Euler a"},
    {"heun", SamplerKind::kHeun, "Heun"},
    {"dpm_2", SamplerKind::kDpm2, "DPM2"},
    {"dpm_2_a", SamplerKind::kDpm2A, "DPM2 a"},
    {"lms", SamplerKind::kLms, "LMS"},
    {"dpmsolver", SamplerKind::kDpmSolver, "DPM-Solver"},
    {"dpmsolver++", SamplerKind::kDpmSolverPp, "DPM++ 2M"},
    {"dpmsingle", SamplerKind::kDpmSingle, "DPM++ 2S"},
    {"dpmpp_2m_karras", SamplerKind::kDpmpp2mKarras, "DPM++ 2M Karras"},
    {"k_euler", SamplerKind::kEuler},
    {"k_euler_a", SamplerKind::kEulerA},
    {"k_lms", SamplerKind::kLms},
    {"k_dpm_2", SamplerKind::kDpm2},
    {"k_dpm_2_a", SamplerKind::kDpm2A},
    {"dpmpp_2m", SamplerKind::kDpmSolverPp},
}};

constexpr int64_t kLast = NoiseSchedule::kNumTimesteps - 1;

// `count` numbers from 999 down to 0, evenly; a single one is 0.
std::vector<double> descending_timesteps(int64_t count) {
    std::vector<double> result(static_cast<size_t>(count), 0.0);
    for (int64_t i = 0; i + 1 < count; ++i) {
        result[static_cast<size_t>(i)] = static_cast<double>(kLast) *
                                         static_cast<double>(count - 1 - i) /
                                         static_cast<double>(count - 1);
    }
    return result;
}

int64_t leading_timestep(int64_t i, int64_t num_steps) {
    return std::min(i * (NoiseSchedule::kNumTimesteps / num_steps) + 1, kLast);
}

bool is_scaled_by_sigma(SamplerKind kind) {
    switch (kind) {
        case SamplerKind::kEuler:
        case SamplerKind::kEulerA:
        case SamplerKind::kHeun:
        case SamplerKind::kDpm2:
        case SamplerKind::kDpm2A:
        case SamplerKind::kLms: return true;
        default: return false;
    }
}

}  // namespace

AncestralStep ancestral_step(double from, double to) {
    const double up = to * std::sqrt(std::max(0.0, from * from - to * to)) / from;
    return {.down = std::sqrt(std::max(0.0, to * to - up * up)), .up = up};
}

std::optional<SamplerKind> sampler_from_name(std::string_view name) {
    for (const NamedSampler& sampler : kSamplers) {
        if (sampler.name == name) return sampler.kind;
    }
    return std::nullopt;
}

std::string_view sampler_name(SamplerKind kind) {
    for (const NamedSampler& sampler : kSamplers) {
        if (sampler.kind == kind) return sampler.name;
    }
    return "";
}

std::string_view sampler_label(SamplerKind kind) {
    for (const NamedSampler& sampler : kSamplers) {
        if (sampler.kind == kind) return sampler.label;
    }
    return "";
}

Sampler::Sampler(SamplerKind kind, int64_t num_steps, PredictionType prediction)
    : kind_(kind), prediction_(prediction), scaled_by_sigma_(is_scaled_by_sigma(kind)) {
    if (num_steps < 1 || num_steps > NoiseSchedule::kNumTimesteps) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("{} sampling steps: 1 to {} are possible",
                                num_steps,
                                NoiseSchedule::kNumTimesteps));
    }
    // Three steps of Runge-Kutta and one more are its least.
    if (kind_ == SamplerKind::kPndm && num_steps < 4) kind_ = SamplerKind::kPlms;
    switch (kind_) {
        case SamplerKind::kDdim: plan_leading(num_steps); break;
        case SamplerKind::kPndm: plan_pndm(num_steps); break;
        case SamplerKind::kPlms: plan_plms(num_steps); break;
        case SamplerKind::kEuler:
        case SamplerKind::kEulerA:
        case SamplerKind::kLms:
        case SamplerKind::kHeun:
        case SamplerKind::kDpm2:
        case SamplerKind::kDpm2A: plan_sigmas(num_steps); break;
        case SamplerKind::kDpmSolver:
        case SamplerKind::kDpmSolverPp:
        case SamplerKind::kDpmSingle: plan_lambda(num_steps); break;
        case SamplerKind::kDpmpp2mKarras: plan_karras(num_steps); break;
    }
}

void Sampler::add_call(double timestep, double sigma) {
    timesteps_.push_back(timestep);
    sigmas_.push_back(sigma);
}

// Each step leads to t - stride, which is the next step's timestep; the last one to timestep 0.
void Sampler::plan_leading(int64_t num_steps) {
    const NoiseSchedule schedule;
    const int64_t stride = NoiseSchedule::kNumTimesteps / num_steps;
    int64_t t = 0;
    for (int64_t i = num_steps; i-- > 0;) {
        t = leading_timestep(i, num_steps);
        add_call(static_cast<double>(t), schedule.sigma(t));
    }
    sigmas_.push_back(schedule.sigma(std::max<int64_t>(t - stride, 0)));
}

// e, c + h, c + h, c for the step from e to c, h being half a stride; thrice; then as ddim.
void Sampler::plan_pndm(int64_t num_steps) {
    const NoiseSchedule schedule;
    const auto add = [&](int64_t t) { add_call(static_cast<double>(t), schedule.sigma(t)); };
    const int64_t half = NoiseSchedule::kNumTimesteps / num_steps / 2;
    int64_t i = num_steps - 1;
    for (int64_t step = 0; step < 3; ++step, --i) {
        const int64_t to = leading_timestep(i - 1, num_steps);
        add(leading_timestep(i, num_steps));
        add(std::min(to + half, kLast));
        add(std::min(to + half, kLast));
        add(to);
    }
    for (; i >= 0; --i) add(leading_timestep(i, num_steps));
    sigmas_.push_back(schedule.sigma(0));
}

// The second timestep twice: the first step is done again with what was seen at its end.
void Sampler::plan_plms(int64_t num_steps) {
    const NoiseSchedule schedule;
    for (int64_t i = num_steps; i-- > 0;) {
        const int64_t t = leading_timestep(i, num_steps);
        add_call(static_cast<double>(t), schedule.sigma(t));
        if (i == num_steps - 2) add_call(static_cast<double>(t), schedule.sigma(t));
    }
    sigmas_.push_back(schedule.sigma(0));
}

void Sampler::plan_sigmas(int64_t num_steps) {
    const NoiseSchedule schedule;
    const std::vector<double> times = descending_timesteps(num_steps);
    for (size_t i = 0; i < times.size(); ++i) {
        const double sigma = schedule.sigma_at(times[i]);
        // Heun's method asks at the end of a step, and there again for the next one.
        if (kind_ == SamplerKind::kHeun && i > 0) add_call(times[i], sigma);
        add_call(times[i], sigma);
        if (i + 1 == times.size()) break;
        if (kind_ != SamplerKind::kDpm2 && kind_ != SamplerKind::kDpm2A) continue;
        double to = schedule.sigma_at(times[i + 1]);
        if (kind_ == SamplerKind::kDpm2A) to = ancestral_step(sigma, to).down;
        const double middle = std::sqrt(sigma * to);
        add_call(schedule.timestep_of(middle), middle);
    }
    sigmas_.push_back(0);
}

// num_steps + 1 rounded timesteps without the last, 0.
void Sampler::plan_lambda(int64_t num_steps) {
    const NoiseSchedule schedule;
    for (int64_t i = num_steps; i > 0; --i) {
        const double t = std::nearbyint(static_cast<double>(kLast) * static_cast<double>(i) /
                                        static_cast<double>(num_steps));
        add_call(t, schedule.sigma(static_cast<int64_t>(t)));
    }
    // The form that predicts noise cannot end without any.
    sigmas_.push_back(kind_ == SamplerKind::kDpmSolver ? schedule.sigma(0) : 0);
}

void Sampler::plan_karras(int64_t num_steps) {
    constexpr double kRho = 7;
    const NoiseSchedule schedule;
    const double high = std::pow(schedule.sigma(kLast), 1 / kRho);
    const double low = std::pow(schedule.sigma(0), 1 / kRho);
    for (int64_t i = 0; i < num_steps; ++i) {
        const double share =
            num_steps == 1 ? 0 : static_cast<double>(i) / static_cast<double>(num_steps - 1);
        const double sigma = std::pow(high + share * (low - high), kRho);
        add_call(std::nearbyint(schedule.timestep_of(sigma)), sigma);
    }
    sigmas_.push_back(0);
}

bool Sampler::needs_noise() const {
    return kind_ == SamplerKind::kEulerA || kind_ == SamplerKind::kDpm2A;
}

}  // namespace lora::diffusion
