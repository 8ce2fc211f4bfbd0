#include "diffusion/prediction.h"

#include <cmath>

namespace lora::diffusion {

MixFactors noisy_factors(double ac) {
    return {static_cast<float>(std::sqrt(ac)), static_cast<float>(std::sqrt(1.0 - ac))};
}

MixFactors target_factors(PredictionType type, double ac) {
    if (type == PredictionType::kEpsilon) return {0.0F, 1.0F};
    return {-static_cast<float>(std::sqrt(1.0 - ac)), static_cast<float>(std::sqrt(ac))};
}

}  // namespace lora::diffusion
