// Which tensors share a learning rate: the parts of the network, LoRA+'s lora_up tensors apart, and
// the UNet's blocks when they have weights of their own. Not the rates over time (lr_schedule.h).
// Source   training-semantics 6.5 and 7.1.
// Threads  plain values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "train/network.h"

namespace lora::train {

inline constexpr int kNumBlocks = 25;  // 0..11 down, 12 mid, 13..24 up

// The slot of a UNet module by its kohya name, 0..24; -1 for what lies in no block, as the time
// embedding and the text encoder.
[[nodiscard]] int block_of_module(std::string_view lora_name);

// Factors of the UNet's rate, by slot; 0: the block has no modules.
using BlockWeights = std::array<double, kNumBlocks>;

struct BlockWeightOptions {
    std::string down_lr_weight;  // 12 numbers, or a preset like "sine+0.5"; empty: 1
    std::string mid_lr_weight;   // 1 number
    std::string up_lr_weight;
    double block_lr_zero_threshold = 0;  // weights up to this become 0
};
// None when no list is given. Errors  kConfig naming the option.
[[nodiscard]] std::optional<BlockWeights> block_weights(const BlockWeightOptions& options);

struct GroupOptions {
    double loraplus_text_encoder_lr_ratio = 0;  // 0: lora_up has its part's rate
    double loraplus_unet_lr_ratio = 0;
    std::optional<BlockWeights> block_weights;
};

struct ParameterGroup {
    std::string name;  // "textencoder", "unet", "unet_block4", "unet plus"
    NetworkPart part = NetworkPart::kUNet;
    double scale = 1;  // of the part's rate
};

struct ParameterGroups {
    std::vector<ParameterGroup> groups;  // text encoder first; blocks down, up, mid
    std::vector<int> of_entry;           // for every entry of the network
};
[[nodiscard]] ParameterGroups make_parameter_groups(const Network& network,
                                                    const GroupOptions& options = {});

}  // namespace lora::train
