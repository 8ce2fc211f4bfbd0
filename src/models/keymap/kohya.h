// The layers that take a LoRA, under the names and in the order of kohya's sd-scripts
// (networks.lora): text encoder first, then the UNet's down, up and middle blocks; last what only
// LyCORIS adapts.
// Not the trained matrices. Used by train/, tools/ and sampling.
// Source   training-semantics 6.1, 6.2, 6.5; golden table spec/modules.json.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "models/family.h"

namespace lora::models {

enum class LayerKind : uint8_t { kLinear, kConv1x1, kConv3x3 };

struct LoraTarget {
    std::string lora_name;    // "lora_unet_down_blocks_0_attentions_0_proj_in"
    std::string weight_name;  // the adapted tensor's name in the model file
    LayerKind kind = LayerKind::kLinear;
    Shape weight_shape;    // as in the file: [out, in] or [out, in, k, k]
    int block_index = -1;  // 0..24 in the UNet, -1 in the text encoder
    bool is_text_encoder = false;
    bool needs_conv_dim = false;  // networks.lora takes it only when conv_dim is given
    int64_t stride = 1;           // of a 3x3 convolution; padding is 1 all around
};

struct LoraTargetOptions {
    bool text_encoder = true;
    bool unet = true;
    bool transformers = true;     // of the UNet
    bool conv = false;            // residual blocks, down- and upsamplers too
    bool ends = false;            // conv_in, conv_out and the time embedding too, as LyCORIS does
    bool attention_only = false;  // of the transformers and the text encoder
};

[[nodiscard]] std::vector<LoraTarget> list_lora_targets(const ModelInfo& info,
                                                        const LoraTargetOptions& options = {});

}  // namespace lora::models
