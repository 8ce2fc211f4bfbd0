// The tensors that a model's networks read, with the names and shapes they have in a file. Derived
// by writing the networks once and collecting the weights they ask for.
#pragma once

#include <string>
#include <vector>

#include "models/family.h"

namespace lora::models {

struct TensorSpec {
    std::string name;
    Shape shape;  // 1x1 kernels as [out, in, 1, 1]
};

// Part by part: UNet, VAE, text encoder; each tensor once, in the order of first use.
[[nodiscard]] std::vector<TensorSpec> unet_tensors(const UNetConfig& config);
[[nodiscard]] std::vector<TensorSpec> vae_tensors(const VaeConfig& config);
[[nodiscard]] std::vector<TensorSpec> clip_text_tensors(const ClipTextConfig& config);
[[nodiscard]] std::vector<TensorSpec> model_tensors(const ModelInfo& info);

// Equal but for axes of size 1 behind the second: [o, i] and [o, i, 1, 1].
[[nodiscard]] bool same_shape(const Shape& a, const Shape& b);

}  // namespace lora::models
