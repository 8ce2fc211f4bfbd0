// The VAE encoder as a graph of its own. Used by encode_latents.cpp and batch_encoder.cpp.
#pragma once

#include <cstddef>

#include "train/latents.h"

namespace lora::train {

// Input "image" [batch, 3, H, W]; outputs "mean" and "logvar".
[[nodiscard]] ir::Graph build_encoder_graph(const EncodeRequest& request,
                                            int64_t batch,
                                            data::ImageSize size);

// Sample i of those outputs [N, C, h, w] as one posterior [2 C, h, w], mean first; numbers that are
// not finite count as 0, and into `num_bad`.
[[nodiscard]] Tensor posterior_of(const Tensor& mean,
                                  const Tensor& logvar,
                                  int64_t i,
                                  int64_t& num_bad);

}  // namespace lora::train
