// What each sampler does with an answer. All of them work on y = x0 + sigma * noise, the sample
// before it is scaled: dy / dsigma is the predicted noise, so that ddim is Euler's method on y.
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "diffusion/internal/ancestral.h"
#include "diffusion/sampler.h"

namespace lora::diffusion {
namespace {

// Weight of the latent at noise level sigma; sigma * this is the weight of the noise.
double alpha_of(double sigma) { return 1.0 / std::sqrt(sigma * sigma + 1.0); }

// Adams-Bashforth of orders 1 to 4 for equal steps, the newest value first.
constexpr std::array<std::array<double, 4>, 4> kMultistep{{
    {1, 0, 0, 0},
    {3.0 / 2, -1.0 / 2, 0, 0},
    {23.0 / 12, -16.0 / 12, 5.0 / 12, 0},
    {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24},
}};
constexpr size_t kMostHistory = 4;

// Integral from `from` to `to` of the Lagrange polynomial that is 1 at levels[index] and 0 at the
// others: three Gauss points are exact up to the fifth degree.
double lagrange_integral(std::span<const double> levels, size_t index, double from, double to) {
    constexpr double kOuter = 0.7745966692414834;
    constexpr std::array<std::pair<double, double>, 3> kGauss{
        {{-kOuter, 5.0 / 9}, {0.0, 8.0 / 9}, {kOuter, 5.0 / 9}}};
    double sum = 0;
    for (const auto& [place, weight] : kGauss) {
        const double level = 0.5 * (from + to) + 0.5 * (to - from) * place;
        double value = 1;
        for (size_t j = 0; j < levels.size(); ++j) {
            if (j != index) value *= (level - levels[j]) / (levels[index] - levels[j]);
        }
        sum += weight * value;
    }
    return 0.5 * (to - from) * sum;
}

// How much of the difference to the value before is added to a value so that it stands for the
// middle of the step in log sigma; nothing in steps of first order.
double extrapolation(std::span<const double> sigmas, size_t call, bool first_order) {
    if (call == 0 || first_order || sigmas[call + 1] <= 0) return 0;
    const double before = std::log(sigmas[call - 1] / sigmas[call]);
    return before > 0 ? 0.5 * std::log(sigmas[call] / sigmas[call + 1]) / before : 0;
}

constexpr size_t kFewCalls = 15;  // below: the last step is of first order

}  // namespace

double Sampler::initial_scale() const { return scaled_by_sigma_ ? sigmas_.front() : 1.0; }

double Sampler::input_scale(int64_t call) const {
    return scaled_by_sigma_ ? alpha_of(sigmas_[static_cast<size_t>(call)]) : 1.0;
}

void Sampler::predict_noise(int64_t call, std::span<const float> prediction) {
    noise_.assign(prediction.begin(), prediction.end());
    if (prediction_ == PredictionType::kEpsilon) return;
    // noise = alpha v + sigma alpha x, with x = alpha y as the model saw it.
    const double sigma = sigmas_[static_cast<size_t>(call)];
    const double alpha = alpha_of(sigma);
    for (size_t i = 0; i < noise_.size(); ++i) {
        noise_[i] = alpha * noise_[i] + sigma * alpha * alpha * y_[i];
    }
}

void Sampler::advance(size_t call, const Values& slope) {
    const double length = sigmas_[call + 1] - sigmas_[call];
    for (size_t i = 0; i < y_.size(); ++i) y_[i] += length * slope[i];
}

void Sampler::advance_from_start(double from, double to, const Values& slope) {
    for (size_t i = 0; i < y_.size(); ++i) y_[i] = start_[i] + (to - from) * slope[i];
}

void Sampler::add_noise(double factor, std::span<const float> noise) {
    LORA_CHECK(noise.size() == y_.size(), "an ancestral sampler needs noise");
    for (size_t i = 0; i < y_.size(); ++i) y_[i] += factor * static_cast<double>(noise[i]);
}

void Sampler::step_euler_a(size_t call, std::span<const float> noise) {
    const AncestralStep step = ancestral_step(sigmas_[call], sigmas_[call + 1]);
    for (size_t i = 0; i < y_.size(); ++i) y_[i] += (step.down - sigmas_[call]) * noise_[i];
    add_noise(step.up, noise);
}

// Calls 2 i at the start of step i, 2 i + 1 at its end; the last step has no second one.
void Sampler::step_heun(size_t call) {
    if (call % 2 == 0) {
        start_ = y_;
        sum_ = noise_;
        advance(call, noise_);
        return;
    }
    for (size_t i = 0; i < noise_.size(); ++i) noise_[i] = 0.5 * (noise_[i] + sum_[i]);
    advance_from_start(sigmas_[call - 1], sigmas_[call], noise_);
}

// Calls 2 i at the start of step i, 2 i + 1 in its middle.
void Sampler::step_midpoint(size_t call, std::span<const float> noise) {
    if (call % 2 == 0) {
        start_ = y_;
        advance(call, noise_);
        return;
    }
    const double from = sigmas_[call - 1];
    const double to = sigmas_[call + 1];
    if (kind_ == SamplerKind::kDpm2) {
        advance_from_start(from, to, noise_);
        return;
    }
    const AncestralStep step = ancestral_step(from, to);
    advance_from_start(from, step.down, noise_);
    add_noise(step.up, noise);
}

void Sampler::step_lms(size_t call) {
    history_.push_back(noise_);
    if (history_.size() > kMostHistory) history_.erase(history_.begin());
    const std::span<const double> levels =
        std::span(sigmas_).subspan(call + 1 - history_.size(), history_.size());
    for (size_t j = 0; j < history_.size(); ++j) {
        const double weight = lagrange_integral(levels, j, sigmas_[call], sigmas_[call + 1]);
        for (size_t i = 0; i < y_.size(); ++i) y_[i] += weight * history_[j][i];
    }
}

void Sampler::step_runge_kutta(size_t call) {
    constexpr std::array<double, 4> kWeights{1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
    const size_t stage = call % 4;
    if (stage == 0) {
        start_ = y_;
        sum_.assign(y_.size(), 0.0);
        history_.push_back(noise_);
    }
    for (size_t i = 0; i < y_.size(); ++i) sum_[i] += kWeights[stage] * noise_[i];
    advance_from_start(sigmas_[call - stage], sigmas_[call + 1], stage == 3 ? sum_ : noise_);
}

void Sampler::step_multistep(size_t call) {
    history_.push_back(noise_);
    if (history_.size() > kMostHistory) history_.erase(history_.begin());
    const auto& weights = kMultistep[history_.size() - 1];
    for (size_t i = 0; i < y_.size(); ++i) {
        double slope = 0;
        for (size_t j = 0; j < history_.size(); ++j) {
            slope += weights[j] * history_[history_.size() - 1 - j][i];
        }
        noise_[i] = slope;
    }
    advance(call, noise_);
}

// The first step a second time, with the mean of both slopes.
void Sampler::step_plms(size_t call) {
    if (call == 0) start_ = y_;
    if (call != 1) {
        step_multistep(call);
        return;
    }
    for (size_t i = 0; i < noise_.size(); ++i) {
        noise_[i] = 0.5 * (noise_[i] + history_.back()[i]);
    }
    advance_from_start(sigmas_[0], sigmas_[call + 1], noise_);
}

void Sampler::step_dpmsolver(size_t call) {
    const bool is_last = call + 1 == timesteps_.size();
    const double share = extrapolation(sigmas_, call, is_last && timesteps_.size() < kFewCalls);
    Values slope = noise_;
    if (share != 0) {
        for (size_t i = 0; i < slope.size(); ++i) {
            slope[i] += share * (noise_[i] - history_.back()[i]);
        }
    }
    history_.assign(1, noise_);
    advance(call, slope);
}

Sampler::Values Sampler::clean(size_t call) const {
    Values x0 = y_;
    for (size_t i = 0; i < x0.size(); ++i) x0[i] -= sigmas_[call] * noise_[i];
    return x0;
}

// y moves the share 1 - to / from of the way to the predicted clean sample.
void Sampler::step_dpmpp(size_t call) {
    const Values x0 = clean(call);
    const double share = extrapolation(sigmas_, call, false);
    const double rest = sigmas_[call + 1] / sigmas_[call];
    for (size_t i = 0; i < y_.size(); ++i) {
        const double aim = share != 0 ? x0[i] + share * (x0[i] - history_.back()[i]) : x0[i];
        y_[i] = rest * y_[i] + (1 - rest) * aim;
    }
    history_.assign(1, x0);
}

// Steps of two calls: the first goes to the middle, the second from the start to the end. What is
// left over is one of first order; with an even number of calls the last two are.
void Sampler::step_dpmsingle(size_t call) {
    const size_t count = timesteps_.size();
    const bool is_second = call % 2 == 1 && !(count % 2 == 0 && call + 1 == count);
    const Values x0 = clean(call);
    if (!is_second) {
        start_ = y_;
        history_.assign(1, x0);
        const double rest = sigmas_[call + 1] / sigmas_[call];
        for (size_t i = 0; i < y_.size(); ++i) y_[i] = rest * y_[i] + (1 - rest) * x0[i];
        return;
    }
    const double from = sigmas_[call - 1];
    const double to = sigmas_[call + 1];
    const double rest = to / from;
    // Where the middle lies in the step, in log sigma.
    const double place = std::log(from / sigmas_[call]) / std::log(from / to);
    for (size_t i = 0; i < y_.size(); ++i) {
        const double first = history_.back()[i];
        const double aim = place > 0 ? first + 0.5 / place * (x0[i] - first) : x0[i];
        y_[i] = rest * start_[i] + (1 - rest) * aim;
    }
}

void Sampler::step(int64_t call,
                   std::span<const float> prediction,
                   std::span<const float> noise,
                   std::span<float> sample) {
    LORA_CHECK(call >= 0 && call < num_calls() && prediction.size() == sample.size());
    const auto at = static_cast<size_t>(call);
    const double scale = scaled_by_sigma_ ? 1 : alpha_of(sigmas_[at]);
    y_.resize(sample.size());
    for (size_t i = 0; i < y_.size(); ++i) y_[i] = static_cast<double>(sample[i]) / scale;
    predict_noise(call, prediction);
    switch (kind_) {
        case SamplerKind::kDdim:
        case SamplerKind::kEuler: advance(at, noise_); break;
        case SamplerKind::kEulerA: step_euler_a(at, noise); break;
        case SamplerKind::kHeun: step_heun(at); break;
        case SamplerKind::kDpm2:
        case SamplerKind::kDpm2A: step_midpoint(at, noise); break;
        case SamplerKind::kLms: step_lms(at); break;
        case SamplerKind::kPndm: at < 12 ? step_runge_kutta(at) : step_multistep(at); break;
        case SamplerKind::kPlms: step_plms(at); break;
        case SamplerKind::kDpmSolver: step_dpmsolver(at); break;
        case SamplerKind::kDpmSolverPp:
        case SamplerKind::kDpmpp2mKarras: step_dpmpp(at); break;
        case SamplerKind::kDpmSingle: step_dpmsingle(at); break;
    }
    const double scale_after = scaled_by_sigma_ ? 1 : alpha_of(sigmas_[at + 1]);
    for (size_t i = 0; i < y_.size(); ++i) {
        sample[i] = static_cast<float>(scale_after * y_[i]);
    }
}

}  // namespace lora::diffusion
