// The optimizer's steps for one element in fp32: what the cpu and cuda kernels of update_step and
// update_step_8bit loop over. Not the sums (update_sum_rules.h). The definition in fp64, with
// sources, is backend/reference/update.cpp, which shares nothing with this. Also compiled by nvcc.
// A rule is made once a piece, from its group's row of the schedule and the step's scalars.
#pragma once

#include "backend/update_args.h"

namespace lora::backend {

// A step: moves p and the states s. kWritten: bit i, state i is written.
struct AdamWStep {
    static constexpr int kStates = 2;
    static constexpr unsigned kWritten = 0b11;
    LORA_RULE AdamWStep(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants),
          clip(f.clip),
          step(f.row[0] / f.row[1]),
          inverse_root(1.0F / update_root(f.row[2])),
          early(constants.decay_last != 0 ? 0.0F : f.row[0] * constants.weight_decay),
          late(constants.decay_last != 0 ? f.row[0] * constants.weight_decay : 0.0F) {}
    LORA_RULE void operator()(float& p, float gradient, float* s) const {
        const float g = clip * gradient;
        s[0] = k.beta1 * s[0] + k.one_minus_beta1 * g;
        s[1] = k.beta2 * s[1] + k.one_minus_beta2 * g * g;
        // p - p * decay keeps decays that 1 - decay would round away.
        p -= early * p;
        p -= step * s[0] / (update_root(s[1]) * inverse_root + k.eps);
        p -= late * p;
    }
    UpdateConstants k;
    float clip, step, inverse_root, early, late;
};

struct LionStep {
    static constexpr int kStates = 1;
    static constexpr unsigned kWritten = 0b1;
    LORA_RULE LionStep(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants), clip(f.clip), lr(f.row[0]), decay(f.row[0] * constants.weight_decay) {}
    LORA_RULE void operator()(float& p, float gradient, float* s) const {
        const float g = clip * gradient;
        p -= decay * p;
        p -= lr * update_sign(k.beta1 * s[0] + k.one_minus_beta1 * g);
        s[0] = k.beta2 * s[0] + k.one_minus_beta2 * g;
    }
    UpdateConstants k;
    float clip, lr, decay;
};

struct SgdNesterovStep {
    static constexpr int kStates = 1;
    static constexpr unsigned kWritten = 0b1;
    LORA_RULE SgdNesterovStep(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants),
          clip(f.clip),
          lr(f.row[0]),
          momentum(f.row[1] != 0.0F ? 0.0F : constants.beta1) {}
    LORA_RULE void operator()(float& p, float gradient, float* s) const {
        const float g = clip * gradient + k.weight_decay * p;
        s[0] = momentum * s[0] + g;
        p -= lr * (g + k.beta1 * s[0]);
    }
    UpdateConstants k;
    float clip, lr, momentum;
};

struct ScheduleFreeAdamWStep {
    static constexpr int kStates = 2;
    static constexpr unsigned kWritten = 0b11;
    LORA_RULE ScheduleFreeAdamWStep(const UpdateConstants& constants, const UpdateFactors& f)
        : k(constants),
          clip(f.clip),
          lr(f.row[0]),
          c(f.scalars[0]),
          ahead(f.row[0] * (constants.beta1 * (1.0F - f.scalars[0]) - 1.0F)) {}
    LORA_RULE void operator()(float& p, float gradient, float* s) const {
        const float g = clip * gradient;
        s[0] = k.beta2 * s[0] + k.one_minus_beta2 * g * g;
        const float direction = g / (update_root(s[0]) + k.eps) + k.weight_decay * p;
        p += c * (s[1] - p) + ahead * direction;
        s[1] -= lr * direction;
    }
    UpdateConstants k;
    float clip, lr, c, ahead;
};

// The steps below follow the sums of their rule: scalars {d, lambda, go, d0}.
struct DAdaptAdamStep {
    static constexpr int kStates = 3;
    static constexpr unsigned kWritten = 0;
    LORA_RULE DAdaptAdamStep(const UpdateConstants& constants, const UpdateFactors& f)
        : eps(constants.eps),
          decay(constants.decouple != 0 ? f.scalars[1] * constants.weight_decay : 0.0F) {}
    LORA_RULE void operator()(float& p, float /*gradient*/, const float* s) const {
        p -= decay * p;
        p -= s[0] / (update_root(s[1]) + eps);
    }
    float eps, decay;
};

struct ProdigyStep {
    static constexpr int kStates = 4;
    static constexpr unsigned kWritten = 0;
    LORA_RULE ProdigyStep(const UpdateConstants& constants, const UpdateFactors& f)
        : eps(f.scalars[0] * constants.eps),
          lambda(f.scalars[1]),
          decay(constants.decouple != 0 ? f.scalars[1] * constants.weight_decay : 0.0F) {}
    LORA_RULE void operator()(float& p, float /*gradient*/, const float* s) const {
        p -= decay * p;
        p -= lambda * s[0] / (update_root(s[1]) + eps);
    }
    float eps, lambda, decay;
};

struct DAdaptSgdStep {
    static constexpr int kStates = 2;
    static constexpr unsigned kWritten = 0;
    LORA_RULE DAdaptSgdStep(const UpdateConstants& constants, const UpdateFactors& /*f*/)
        : momentum(constants.beta1), rest(constants.one_minus_beta1) {}
    LORA_RULE void operator()(float& p, float /*gradient*/, const float* s) const {
        p = momentum * p + rest * (s[1] - s[0]);
    }
    float momentum, rest;
};

struct DAdaptAdanStep {
    static constexpr int kStates = 5;
    static constexpr unsigned kWritten = 0;
    LORA_RULE DAdaptAdanStep(const UpdateConstants& constants, const UpdateFactors& f)
        : beta2(constants.beta2),
          eps(constants.eps),
          decay(f.scalars[1] * constants.weight_decay),
          no_prox(constants.no_prox) {}
    LORA_RULE void operator()(float& p, float /*gradient*/, const float* s) const {
        const float move = (s[0] + beta2 * s[1]) / (update_root(s[2]) + eps);
        p = no_prox != 0 ? p - decay * p - move : (p - move) / (1.0F + decay);
    }
    float beta2, eps, decay;
    int no_prox;
};
// The nearest of 256 ascending numbers, of two equally near ones the lower; a negative x never
// becomes 0.
LORA_RULE int nearest_in_map(const float* map, float x) {
    int low = 0;
    int high = 255;
    while (low < high) {
        const int middle = (low + high) / 2;
        if ((map[middle] + map[middle + 1]) * 0.5F < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return x < 0.0F && map[low] == 0.0F ? low - 1 : low;
}

}  // namespace lora::backend
