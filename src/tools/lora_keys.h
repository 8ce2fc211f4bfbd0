// The names that LoRA files give to layers: sd-scripts' (lora_unet_..., used by LyCORIS,
// AUTOMATIC1111 and ComfyUI too) and the dotted paths of diffusers and PEFT. Inside this folder a
// layer goes by sd-scripts' name. Not what the tensors hold (lora_layers.h).
// Threads  pure. Source: training-semantics 6.2 and 6.5; diffusers
// loaders/lora_conversion_utils.py and peft (lora_A, lora_B), for the forms of names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lora::tools {

struct LoraKey {
    std::string layer;   // "lora_unet_mid_block_attentions_0_proj_in"
    std::string suffix;  // "lora_down.weight", "alpha", "hada_w1_a"; diffusers' words translated
};

enum class KeyStyle { kKohya, kDiffusers };

struct ParsedKey {
    LoraKey key;
    KeyStyle style = KeyStyle::kKohya;
};

// Nothing when the tensor belongs to no adapted layer.
[[nodiscard]] std::optional<ParsedKey> parse_lora_key(std::string_view name);

// A name that ends as one of LoRA's tensors does in any of the spellings: the layer as it stands
// there, of whatever model, and the ending in sd-scripts' words.
[[nodiscard]] std::optional<LoraKey> match_ending(std::string_view name);

// "lora_unet_..." to "unet.mid_block.attentions.0.proj_in", as diffusers spells the layer.
[[nodiscard]] std::string diffusers_path(std::string_view layer);
// The tensor's name in a file that diffusers writes: lora_A for down, lora_B for up.
[[nodiscard]] std::string diffusers_key(const LoraKey& key);

[[nodiscard]] bool is_text_encoder_layer(std::string_view layer);
// The UNet's slot 0..24 (input blocks 0..11, middle 12, output blocks 13..24); -1: text encoder.
[[nodiscard]] int block_of_layer(std::string_view layer);
// "text encoder", "IN04", "MID", "OUT11".
[[nodiscard]] std::string block_name(int block);
// Size of the layer's kernel as its name tells: 3 for the convolutions of residual blocks, down-
// and upsamplers and the UNet's ends; else 1.
[[nodiscard]] int kernel_of_layer(std::string_view layer);

}  // namespace lora::tools
