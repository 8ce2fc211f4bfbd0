// update_globals: the numbers that belong to the whole run, as d of D-Adaptation and Prodigy.
// Definition: backend/reference/update.cpp. Also compiled by nvcc.
#pragma once

#ifndef __CUDACC__
#include <cmath>
#endif

#include "backend/update_args.h"

namespace lora::backend {

// One thread. globals: d, numerator, largest d, norm of the first gradient, sum of weights, largest
// rate, d0.
LORA_RULE void begin_update(const UpdateGlobalsArgs& a) {
    const double lr = static_cast<double>(a.schedule[0]);
    for (int i = 0; i < 8; ++i) a.scalars[i] = 0.0F;
    if (a.rule == ir::UpdateRule::kScheduleFreeAdamW) {
        if (a.schedule[0] > a.globals[5]) a.globals[5] = a.schedule[0];
        const double weight = static_cast<double>(a.schedule[1]) *
                              pow(static_cast<double>(a.globals[5]), a.k.weight_lr_power);
        const double sum = static_cast<double>(a.globals[4]) + weight;
        a.globals[4] = static_cast<float>(sum);
        a.scalars[0] = sum > 0 ? static_cast<float>(weight / sum) : 0.0F;
        return;
    }
    double lambda = static_cast<double>(a.globals[0]) * lr * static_cast<double>(a.schedule[1]);
    if (a.rule == ir::UpdateRule::kDAdaptSgd) {
        if (a.globals[3] == 0.0F && a.sum_squares != nullptr) {
            a.globals[3] = *a.clip * update_root(*a.sum_squares);
        }
        lambda = a.globals[3] > 0.0F ? lambda / static_cast<double>(a.globals[3]) : 0.0;
    }
    a.scalars[0] = a.globals[0];
    a.scalars[1] = static_cast<float>(lambda);
    a.scalars[2] = 1.0F;
    a.scalars[3] = a.globals[6];
}

LORA_RULE void end_update(const UpdateGlobalsArgs& a) {
    const bool is_adan = a.rule == ir::UpdateRule::kDAdaptAdan;
    const double weight = static_cast<double>(is_adan ? a.sums[2] : a.sums[1]);
    a.scalars[2] = weight > 0 ? 1.0F : 0.0F;
    if (!(weight > 0)) return;
    const double first = static_cast<double>(a.sums[0]);
    double numerator = static_cast<double>(a.globals[1]);
    double estimate = 0;
    if (a.rule == ir::UpdateRule::kDAdaptAdam || a.rule == ir::UpdateRule::kDAdaptLion) {
        const double q = sqrt(a.k.exact_beta2);
        numerator = q * numerator + (1 - q) * first;
        estimate = numerator / ((1 - q) * weight);
    } else if (a.rule == ir::UpdateRule::kDAdaptSgd) {
        numerator += first;
        estimate = 2 * numerator / sqrt(weight);
    } else if (is_adan) {
        const double lambda = static_cast<double>(a.scalars[1]);
        numerator = a.k.exact_beta3 * numerator + (1 - a.k.exact_beta3) * lambda * lambda * first;
        estimate = (static_cast<double>(a.sums[1]) / (1 - a.k.exact_beta3) - numerator) / weight;
    } else {
        numerator = a.k.exact_beta3 * numerator + first;
        estimate = a.k.d_coef * numerator / weight;
    }
    a.globals[1] = static_cast<float>(numerator);
    if (!(a.schedule[0] > 0.0F)) return;  // a rate of 0 teaches nothing about d
    double d = static_cast<double>(a.globals[0]);
    if (a.rule == ir::UpdateRule::kProdigy) {
        if (a.globals[0] == a.globals[6] && estimate > d) d = estimate;
        if (estimate > static_cast<double>(a.globals[2])) {
            a.globals[2] = static_cast<float>(estimate);
        }
        const double largest = static_cast<double>(a.globals[2]);
        const double grown = a.k.growth_rate > 0 ? d * a.k.growth_rate : largest;
        d = grown < largest ? grown : largest;
    } else {
        const double grown = a.k.growth_rate > 0 ? d * a.k.growth_rate : estimate;
        const double wanted = grown < estimate ? grown : estimate;
        if (wanted > d) d = wanted;
    }
    a.globals[0] = static_cast<float>(d);
    a.scalars[0] = a.globals[0];
}

}  // namespace lora::backend
