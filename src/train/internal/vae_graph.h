// The VAE encoder as a graph of its own. Used by encode_latents.cpp and batch_encoder.cpp.
#pragma once

#include <cstddef>

#include "train/latents.h"

namespace lora::train {

// Input "image" [batch, 3, H, W]; outputs "mean" and "logvar".
[[nodiscard]] ir::Graph build_encoder_graph(const EncodeRequest& request,
                                            int64_t batch,
                                            data::ImageSize size);

}  // namespace lora::train
