// The vector that tells the UNet its timestep: sinusoids, then a two-layer network.
// Shapes   t [N] fp32 -> [N, out]; weights `name`.0 [out, channels] and `name`.2 [out, out].
#pragma once

#include <string>

#include "nn/lora.h"

namespace lora::nn {

struct TimestepEmbeddingSizes {
    int64_t channels = 320;  // sinusoids
    int64_t out = 1280;
};

[[nodiscard]] ValueId timestep_embedding(const NetContext& net,
                                         const std::string& name,
                                         ValueId t,
                                         const TimestepEmbeddingSizes& sizes);

}  // namespace lora::nn
