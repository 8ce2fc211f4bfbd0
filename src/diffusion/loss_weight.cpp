#include "diffusion/loss_weight.h"

#include <algorithm>
#include <cmath>

namespace lora::diffusion {
namespace {

constexpr double kMostSnr = 1000;

}  // namespace

double snr(double ac) { return ac / (1.0 - ac); }

double loss_weight(PredictionType type, double ac, const LossWeightOptions& options) {
    const bool is_v = type == PredictionType::kVPrediction;
    const double ratio = snr(ac);
    const double limited = std::min(ratio, kMostSnr);
    double weight = 1;
    if (options.min_snr_gamma != 0) {
        weight *= std::min(ratio, options.min_snr_gamma) / (is_v ? ratio + 1 : ratio);
    }
    if (is_v && options.scale_v_pred_loss_like_noise_pred) weight *= limited / (limited + 1);
    if (!is_v && options.v_pred_like_loss != 0) {
        weight *= 1 + options.v_pred_like_loss * (limited + 1) / limited;
    }
    if (options.debiased_estimation_loss) {
        weight *= is_v ? 1 / (limited + 1) : 1 / std::sqrt(limited);
    }
    return weight;
}

std::optional<HuberSchedule> huber_schedule_from_name(std::string_view name) {
    if (name == "constant") return HuberSchedule::kConstant;
    if (name == "exponential") return HuberSchedule::kExponential;
    if (name == "snr") return HuberSchedule::kSnr;
    return std::nullopt;
}

double huber_threshold(const HuberOptions& options, int64_t timestep, double ac) {
    constexpr double kTimesteps = 1000;
    switch (options.schedule) {
        case HuberSchedule::kConstant: return options.c * options.scale;
        case HuberSchedule::kExponential:
            return std::exp(std::log(options.c) * static_cast<double>(timestep) / kTimesteps) *
                   options.scale;
        case HuberSchedule::kSnr: break;
    }
    const double sigma = std::sqrt((1 - ac) / ac);
    return (1 - options.c) / ((1 + sigma) * (1 + sigma)) + options.c;
}

}  // namespace lora::diffusion
