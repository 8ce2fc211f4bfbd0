// The denoising UNet of SD 1.x and 2.x: noisy latents, timesteps and context to a prediction.
// Not what the prediction means (diffusion/prediction.h), not how weights get there (train/).
// Source   Rombach et al., arXiv:2112.10752; Ho et al., arXiv:2006.11239 (timestep embedding).
#pragma once

#include <string>
#include <vector>

#include "nn/lora.h"

namespace lora::models {

struct UNetConfig {
    std::string prefix = "model.diffusion_model.";
    int64_t in_channels = 4;
    int64_t out_channels = 4;
    std::vector<int64_t> channels{320, 640, 1280, 1280};  // by level, finest first
    std::vector<bool> has_attention{true, true, true, false};
    int64_t context_size = 768;
    int64_t heads = 8;      // of every attention; 0: as many as head_size says
    int64_t head_size = 0;  // read when heads is 0
    bool linear_projection =
        false;  // proj_in and proj_out are [o, i] in the file, not [o, i, 1, 1]
    [[nodiscard]] int64_t heads_of(int64_t width) const {
        return heads > 0 ? heads : width / head_size;
    }
    [[nodiscard]] int64_t time_size() const { return 4 * channels[0]; }
};

struct UNetInputs {
    nn::ValueId latents;    // [N, in_channels, H, W] fp32 row-major
    nn::ValueId timesteps;  // [N] fp32
    nn::ValueId context;    // [N, T, context_size], any float type
};

// Returns the prediction [N, out_channels, H, W], fp32 row-major. H and W may be any sizes.
[[nodiscard]] nn::ValueId build_unet(const nn::NetContext& net,
                                     const UNetConfig& config,
                                     const UNetInputs& inputs);

}  // namespace lora::models
