// The optimizer's sums over all parameters for one element in fp32: what the cpu and cuda kernels
// of update_sums loop over. Definition: backend/reference/update.cpp. Also compiled by nvcc.
#pragma once

#include "backend/update_args.h"

namespace lora::backend {

// Sums: move the states on and add to sum. kMovesP: p is written too.
struct DAdaptAdamSums {
    static constexpr int kStates = 3;
    static constexpr unsigned kWritten = 0b111;
    static constexpr bool kMovesP = false;
    LORA_RULE DAdaptAdamSums(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants),
          clip(f.clip),
          lambda(f.scalars[1]),
          coupled(constants.decouple != 0 ? 0.0F : constants.weight_decay) {}
    LORA_RULE void operator()(float& p, float gradient, float* s, double* sum) const {
        const float g = clip * gradient + coupled * p;
        sum[0] += static_cast<double>(lambda * g * (s[2] / (update_root(s[1]) + k.eps)));
        s[0] = k.beta1 * s[0] + lambda * k.one_minus_beta1 * g;
        s[1] = k.beta2 * s[1] + k.one_minus_beta2 * g * g;
        s[2] = k.root_beta2 * s[2] + lambda * k.one_minus_root_beta2 * g;
        sum[1] += static_cast<double>(update_abs(s[2]));
    }
    UpdateConstants k;
    float clip, lambda, coupled;
};

struct DAdaptLionSums {
    static constexpr int kStates = 2;
    static constexpr unsigned kWritten = 0b11;
    static constexpr bool kMovesP = true;
    LORA_RULE DAdaptLionSums(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants), clip(f.clip), lambda(f.scalars[1]) {}
    LORA_RULE void operator()(float& p, float gradient, float* s, double* sum) const {
        const float g = clip * gradient;
        const float move = update_sign(k.beta1 * s[0] + k.one_minus_beta1 * g);
        p -= lambda * k.weight_decay * p;
        p -= lambda * move;
        s[0] = k.beta2 * s[0] + k.one_minus_beta2 * lambda * g;
        sum[0] += static_cast<double>(lambda * move * s[1]);
        s[1] = k.root_beta2 * s[1] + k.one_minus_root_beta2 * lambda * move;
        sum[1] += static_cast<double>(update_abs(s[1]));
    }
    UpdateConstants k;
    float clip, lambda;
};

struct DAdaptSgdSums {
    static constexpr int kStates = 2;
    static constexpr unsigned kWritten = 0b1;
    static constexpr bool kMovesP = false;
    LORA_RULE DAdaptSgdSums(const UpdateConstants& constants, const UpdateFactors& f)
        : clip(f.clip), lambda(f.scalars[1]), decay(constants.weight_decay) {}
    LORA_RULE void operator()(float& p, float gradient, float* s, double* sum) const {
        const float g = clip * gradient + decay * p;
        sum[0] += static_cast<double>(lambda * g * s[0]);
        s[0] += lambda * g;
        sum[1] += static_cast<double>(s[0]) * static_cast<double>(s[0]);
    }
    float clip, lambda, decay;
};

struct DAdaptAdanSums {
    static constexpr int kStates = 5;
    static constexpr unsigned kWritten = 0b11111;
    static constexpr bool kMovesP = false;
    LORA_RULE DAdaptAdanSums(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants), clip(f.clip), lambda(f.scalars[1]), first(f.row[2] != 0.0F ? 1 : 0) {}
    LORA_RULE void operator()(float& /*p*/, float gradient, float* s, double* sum) const {
        const float g = clip * gradient;
        const float change = first != 0 ? 0.0F : g - s[4];
        const float ahead = g + k.beta2 * change;
        s[0] = k.beta1 * s[0] + lambda * k.one_minus_beta1 * g;
        s[1] = k.beta2 * s[1] + lambda * k.one_minus_beta2 * change;
        s[2] = k.beta3 * s[2] + k.one_minus_beta3 * ahead * ahead;
        s[3] = k.beta3 * s[3] + lambda * k.one_minus_beta3 * g;
        s[4] = g;
        const float inverse = 1.0F / (update_root(s[2]) + k.eps);
        sum[0] += static_cast<double>(g * g * inverse);
        // s^2 may lie below what fp32 holds while d is small.
        sum[1] +=
            static_cast<double>(s[3]) * static_cast<double>(s[3]) * static_cast<double>(inverse);
        sum[2] += static_cast<double>(update_abs(s[3]));
    }
    UpdateConstants k;
    float clip, lambda;
    int first;
};

struct ProdigySums {
    static constexpr int kStates = 4;
    static constexpr unsigned kWritten = 0b111;
    static constexpr bool kMovesP = false;
    LORA_RULE ProdigySums(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants),
          clip(f.clip),
          d(f.scalars[0]),
          growth(f.scalars[0] / f.scalars[3]),
          lambda(f.scalars[1]),
          coupled(constants.decouple != 0 ? 0.0F : constants.weight_decay) {}
    LORA_RULE void operator()(float& p, float gradient, float* s, double* sum) const {
        const float g = clip * gradient + coupled * p;
        sum[0] += static_cast<double>(growth * lambda * g * (s[3] - p));
        s[0] = k.beta1 * s[0] + d * k.one_minus_beta1 * g;
        const float dg = d * g;  // d * d alone may be too small for fp32
        s[1] = k.beta2 * s[1] + k.one_minus_beta2 * dg * dg;
        s[2] = k.beta3 * s[2] + growth * (k.safeguard_warmup != 0 ? d : lambda) * g;
        sum[1] += static_cast<double>(update_abs(s[2]));
    }
    UpdateConstants k;
    float clip, d, growth, lambda, coupled;
};

}  // namespace lora::backend
