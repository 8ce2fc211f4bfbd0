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

}  // namespace lora::diffusion
