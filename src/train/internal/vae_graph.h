// The VAE encoder as a network over pictures. Used by encode_latents.cpp and batch_encoder.cpp.
#pragma once

#include <cstddef>

#include "train/internal/picture_network.h"
#include "train/latents.h"

namespace lora::train {

// Input "image" [N, 3, H, W]; outputs "mean" and "logvar" [N, C, h, w].
[[nodiscard]] PictureGraph encoder_graph(const EncodeRequest& request);

// Sample i of those outputs as one posterior [2 C, h, w], mean first; numbers that are not finite
// count as 0, and into `num_bad`.
[[nodiscard]] Tensor posterior_of(const std::vector<Tensor>& mean_and_logvar,
                                  int64_t i,
                                  int64_t& num_bad);

}  // namespace lora::train
