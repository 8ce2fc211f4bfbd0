// The image autoencoder of Stable Diffusion: pictures to latents and back.
// Not the drawing of a latent from its posterior (train/precompute).
// Shapes   images [N, 3, H, W] in -1..1, latents [N, z, H/8, W/8]; row-major on both ends.
// Source   Rombach et al., arXiv:2112.10752 (the KL-regularised autoencoder).
#pragma once

#include <string>
#include <vector>

#include "nn/lora.h"

namespace lora::models {

struct VaeConfig {
    std::string prefix = "first_stage_model.";
    std::vector<int64_t> channels{128, 256, 512, 512};  // by level, finest first
    int64_t latent_channels = 4;
    double latent_scale = 0.18215;  // stored latents = VAE output * this
    [[nodiscard]] int64_t px_per_latent() const {
        return int64_t{1} << (channels.empty() ? 0 : channels.size() - 1);
    }
};

struct VaePosterior {
    nn::ValueId mean;    // unscaled, fp32
    nn::ValueId logvar;  // fp32, not clamped
};

// image fp32; height and width are multiples of px_per_latent().
[[nodiscard]] VaePosterior build_vae_encoder(const nn::NetContext& net,
                                             const VaeConfig& config,
                                             nn::ValueId image);
// latents fp32, scaled -> fp32 picture, not clamped.
[[nodiscard]] nn::ValueId build_vae_decoder(const nn::NetContext& net,
                                            const VaeConfig& config,
                                            nn::ValueId latents);

}  // namespace lora::models
