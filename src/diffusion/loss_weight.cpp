#include "diffusion/loss_weight.h"

#include <algorithm>

namespace lora::diffusion {

double snr(double ac) { return ac / (1.0 - ac); }

double min_snr_weight(PredictionType type, double ac, double gamma) {
    if (gamma == 0) return 1.0;
    const double ratio = snr(ac);
    const double divisor = type == PredictionType::kEpsilon ? ratio : ratio + 1.0;
    return std::min(ratio, gamma) / divisor;
}

}  // namespace lora::diffusion
