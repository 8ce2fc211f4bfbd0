// Weights of a sample's loss by its timestep, and where its Huber loss turns from square to linear.
// Not the prior loss weight, which is the picture's own. Threads  pure. Source   min-SNR: Hang et
// al., arXiv:2303.09556; debiased estimation: Yu et al., arXiv:2310.08442;
//          forms and order as in sd-scripts' newest version (training-semantics 5.6).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "diffusion/prediction.h"

namespace lora::diffusion {

struct LossWeightOptions {
    double min_snr_gamma = 0;  // 0: off
    bool scale_v_pred_loss_like_noise_pred = false;
    double v_pred_like_loss = 0;  // epsilon only; 0: off
    bool debiased_estimation_loss = false;
};

// Signal-to-noise ratio ac / (1 - ac).
[[nodiscard]] double snr(double ac);

// The product of what the options ask for, at alphas_cumprod `ac`:
//   min-SNR            epsilon min(snr, gamma) / snr, v min(snr, gamma) / (snr + 1)
//   scale_v_pred...    v       s / (s + 1), s = min(snr, 1000)
//   v_pred_like_loss   epsilon 1 + lambda (s + 1) / s
//   debiased           epsilon 1 / sqrt(s), v 1 / (s + 1)
[[nodiscard]] double loss_weight(PredictionType type, double ac, const LossWeightOptions& options);

enum class HuberSchedule : uint8_t { kConstant, kExponential, kSnr };
// "constant", "exponential", "snr"; nothing for another name.
[[nodiscard]] std::optional<HuberSchedule> huber_schedule_from_name(std::string_view name);

struct HuberOptions {
    HuberSchedule schedule = HuberSchedule::kSnr;
    double c = 0.1;
    double scale = 1;  // not with kSnr
};

// The threshold c of a sample at `timestep`, whose alphas_cumprod is `ac`:
//   constant c * scale; exponential exp(ln(c) * t / 1000) * scale;
//   snr (1 - c) / (1 + sigma)^2 + c, sigma = sqrt((1 - ac) / ac)
[[nodiscard]] double huber_threshold(const HuberOptions& options, int64_t timestep, double ac);

}  // namespace lora::diffusion
