#include "backend/update_args.h"

#include <cmath>

#include "ir/op.h"

namespace lora::backend {

UpdateConstants update_constants(const ir::UpdateAttributes& attrs) {
    const double root = std::sqrt(attrs.beta2);
    const auto flag = [](bool set) { return set ? 1 : 0; };
    UpdateConstants k;
    k.beta1 = static_cast<float>(attrs.beta1);
    k.one_minus_beta1 = static_cast<float>(1 - attrs.beta1);
    k.beta2 = static_cast<float>(attrs.beta2);
    k.one_minus_beta2 = static_cast<float>(1 - attrs.beta2);
    k.beta3 = static_cast<float>(attrs.beta3);
    k.one_minus_beta3 = static_cast<float>(1 - attrs.beta3);
    k.root_beta2 = static_cast<float>(root);
    k.one_minus_root_beta2 = static_cast<float>(1 - root);
    k.eps = static_cast<float>(attrs.eps);
    k.eps2 = static_cast<float>(attrs.eps2);
    k.weight_decay = static_cast<float>(attrs.weight_decay);
    k.clip_threshold = static_cast<float>(attrs.clip_threshold);
    k.growth_rate = attrs.growth_rate;
    k.d_coef = attrs.d_coef;
    k.weight_lr_power = attrs.weight_lr_power;
    k.exact_beta2 = attrs.beta2;
    k.exact_beta3 = attrs.beta3;
    k.decouple = flag(attrs.decouple);
    k.decay_last = flag(attrs.decay_last);
    k.safeguard_warmup = flag(attrs.safeguard_warmup);
    k.no_prox = flag(attrs.no_prox);
    k.scale_parameter = flag(attrs.scale_parameter);
    return k;
}

}  // namespace lora::backend
