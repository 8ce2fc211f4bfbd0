// Weights of a sample's loss by its timestep. Not the prior loss weight, which is the picture's
// own. Threads  pure. Source: Hang et al., Min-SNR weighting, arXiv:2303.09556; the v form as in
//          sd-scripts' newest version (training-semantics 5.6).
#pragma once

#include "diffusion/prediction.h"

namespace lora::diffusion {

// Signal-to-noise ratio ac / (1 - ac).
[[nodiscard]] double snr(double ac);

// epsilon: min(snr, gamma) / snr; v: min(snr, gamma) / (snr + 1). gamma 0: 1.
[[nodiscard]] double min_snr_weight(PredictionType type, double ac, double gamma);

}  // namespace lora::diffusion
