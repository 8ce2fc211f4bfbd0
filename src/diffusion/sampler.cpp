#include "diffusion/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"

namespace lora::diffusion {
namespace {

struct NamedSampler {
    std::string_view name;
    SamplerKind kind;
};
constexpr std::array<NamedSampler, 6> kSamplers{{{"ddim", SamplerKind::kDdim},
                                                 {"euler", SamplerKind::kEuler},
                                                 {"euler_a", SamplerKind::kEulerA},
                                                 {"dpmpp_2m_karras", SamplerKind::kDpmpp2mKarras},
                                                 {"k_euler", SamplerKind::kEuler},
                                                 {"k_euler_a", SamplerKind::kEulerA}}};

// `count` numbers from 999 down to 0, evenly; a single one is 0.
std::vector<double> descending_timesteps(int64_t count) {
    constexpr double kLast = static_cast<double>(NoiseSchedule::kNumTimesteps - 1);
    std::vector<double> result(static_cast<size_t>(count), 0.0);
    for (int64_t i = 0; i + 1 < count; ++i) {
        result[static_cast<size_t>(i)] =
            kLast * static_cast<double>(count - 1 - i) / static_cast<double>(count - 1);
    }
    return result;
}

// Weight of the latent at noise level sigma; sigma * this is the weight of the noise.
double alpha_of(double sigma) { return 1.0 / std::sqrt(sigma * sigma + 1.0); }

}  // namespace

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

Sampler::Sampler(SamplerKind kind, int64_t num_steps, PredictionType prediction)
    : kind_(kind), prediction_(prediction) {
    if (num_steps < 1 || num_steps > NoiseSchedule::kNumTimesteps) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("{} sampling steps: 1 to {} are possible",
                                num_steps,
                                NoiseSchedule::kNumTimesteps));
    }
    switch (kind_) {
        case SamplerKind::kDdim: plan_ddim(num_steps); break;
        case SamplerKind::kEuler:
        case SamplerKind::kEulerA: plan_euler(num_steps); break;
        case SamplerKind::kDpmpp2mKarras: plan_karras(num_steps); break;
    }
}

void Sampler::plan_ddim(int64_t num_steps) {
    const NoiseSchedule schedule;
    const int64_t stride = NoiseSchedule::kNumTimesteps / num_steps;
    for (int64_t i = num_steps; i-- > 0;) {
        const int64_t t = std::min(i * stride + 1, NoiseSchedule::kNumTimesteps - 1);
        timesteps_.push_back(static_cast<double>(t));
        sigmas_.push_back(schedule.sigma(t));
        if (i == 0) sigmas_.push_back(schedule.sigma(std::max<int64_t>(t - stride, 0)));
    }
    // Each step leads to t - stride, which is the next step's timestep.
}

void Sampler::plan_euler(int64_t num_steps) {
    const NoiseSchedule schedule;
    timesteps_ = descending_timesteps(num_steps);
    for (const double t : timesteps_) sigmas_.push_back(schedule.sigma_at(t));
    sigmas_.push_back(0);
}

void Sampler::plan_karras(int64_t num_steps) {
    constexpr double kRho = 7;
    const NoiseSchedule schedule;
    const double high = std::pow(schedule.sigma(NoiseSchedule::kNumTimesteps - 1), 1 / kRho);
    const double low = std::pow(schedule.sigma(0), 1 / kRho);
    for (int64_t i = 0; i < num_steps; ++i) {
        const double share =
            num_steps == 1 ? 0 : static_cast<double>(i) / static_cast<double>(num_steps - 1);
        const double sigma = std::pow(high + share * (low - high), kRho);
        sigmas_.push_back(sigma);
        timesteps_.push_back(std::nearbyint(schedule.timestep_of(sigma)));
    }
    sigmas_.push_back(0);
}

double Sampler::initial_scale() const {
    const bool by_sigma = kind_ == SamplerKind::kEuler || kind_ == SamplerKind::kEulerA;
    return by_sigma ? sigmas_.front() : 1.0;
}

double Sampler::input_scale(int64_t step) const {
    const bool by_sigma = kind_ == SamplerKind::kEuler || kind_ == SamplerKind::kEulerA;
    return by_sigma ? alpha_of(sigmas_[static_cast<size_t>(step)]) : 1.0;
}

void Sampler::predict_noise(int64_t index,
                            std::span<const float> prediction,
                            std::span<const float> sample) {
    noise_.assign(prediction.begin(), prediction.end());
    if (prediction_ == PredictionType::kEpsilon) return;
    // noise = alpha v + sigma' x, with x as the model saw it.
    const double sigma = sigmas_[static_cast<size_t>(index)];
    const double alpha = alpha_of(sigma);
    const auto of_v = static_cast<float>(alpha);
    const auto of_x = static_cast<float>(sigma * alpha * input_scale(index));
    for (size_t i = 0; i < noise_.size(); ++i) noise_[i] = of_v * noise_[i] + of_x * sample[i];
}

void Sampler::step_linear(double of_sample, double of_noise, std::span<float> sample) const {
    for (size_t i = 0; i < sample.size(); ++i) {
        sample[i] = static_cast<float>(of_sample * static_cast<double>(sample[i]) +
                                       of_noise * static_cast<double>(noise_[i]));
    }
}

void Sampler::step_dpmpp(int64_t index, std::span<float> sample) {
    const auto i = static_cast<size_t>(index);
    const double from = sigmas_[i];
    const double to = sigmas_[i + 1];
    x0_.resize(sample.size());
    for (size_t k = 0; k < x0_.size(); ++k) {
        // sample = alpha (x0 + sigma noise)
        x0_[k] = static_cast<float>(static_cast<double>(sample[k]) / alpha_of(from) -
                                    from * static_cast<double>(noise_[k]));
    }
    const double alpha_to = alpha_of(to);
    const double of_sample = to * alpha_to / (from * alpha_of(from));
    const double step_size = to > 0 ? std::log(from / to) : 0;  // in log signal-to-noise
    const double of_x0 = alpha_to * (to > 0 ? 1 - std::exp(-step_size) : 1);
    // The first and the last step are of first order.
    double extrapolate = 0;
    if (index > 0 && to > 0) {
        const double previous_size = std::log(sigmas_[i - 1] / from);
        extrapolate = 0.5 * step_size / previous_size;
    }
    for (size_t k = 0; k < sample.size(); ++k) {
        const auto x0 = static_cast<double>(x0_[k]);
        const double before = extrapolate != 0 ? static_cast<double>(previous_x0_[k]) : x0;
        const double mixed = x0 + extrapolate * (x0 - before);
        sample[k] = static_cast<float>(of_sample * static_cast<double>(sample[k]) + of_x0 * mixed);
    }
    std::swap(x0_, previous_x0_);
}

void Sampler::step(int64_t index,
                   std::span<const float> prediction,
                   std::span<const float> noise,
                   std::span<float> sample) {
    LORA_CHECK(index >= 0 && index < num_steps() && prediction.size() == sample.size());
    predict_noise(index, prediction, sample);
    const double from = sigmas_[static_cast<size_t>(index)];
    const double to = sigmas_[static_cast<size_t>(index) + 1];
    switch (kind_) {
        case SamplerKind::kDdim: {
            const double ratio = alpha_of(to) / alpha_of(from);
            step_linear(ratio, alpha_of(to) * (to - from), sample);
            break;
        }
        case SamplerKind::kEuler: step_linear(1.0, to - from, sample); break;
        case SamplerKind::kEulerA: {
            LORA_CHECK(noise.size() == sample.size(), "an ancestral sampler needs noise");
            const double up = to * std::sqrt(std::max(0.0, from * from - to * to)) / from;
            const double down = std::sqrt(std::max(0.0, to * to - up * up));
            step_linear(1.0, down - from, sample);
            for (size_t i = 0; i < sample.size(); ++i) {
                sample[i] += static_cast<float>(up) * noise[i];
            }
            break;
        }
        case SamplerKind::kDpmpp2mKarras: step_dpmpp(index, sample); break;
    }
}

}  // namespace lora::diffusion
