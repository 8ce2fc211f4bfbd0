// network_module and network_args of sd-scripts, read: which kind of network, on which layers, of
// which sizes.
// Source   training-semantics 6.1, 6.7; sd-scripts networks.lora, LyCORIS 3.x lycoris.kohya.
// Threads  pure.
#pragma once

#include "models/lora_module.h"
#include "train/block_args.h"
#include "train/train_options.h"

namespace lora::train {

// LyCORIS' presets of layers.
enum class LayerPreset : uint8_t {
    kFull,
    kFullLin,
    kAttnMlp,
    kAttnOnly,
    kUNetOnly,
    kUNetTransformerOnly,
    kUNetConvblockOnly,
    kIa3,
};

struct NetworkArgs {
    bool lycoris = false;  // lycoris.kohya; networks.lora otherwise
    models::LoraModuleOptions module;
    LayerPreset preset = LayerPreset::kFull;  // lycoris only
    int64_t conv_dim = 0;                     // of kernels larger than 1x1; 0: none of them
    double conv_alpha = 1;
    bool rs_lora = false;  // scale alpha / sqrt(rank); the file's alpha says so
    bool dora = false;     // weight_decompose: modules get a magnitude for each output
    nn::LoraDropout dropout;
    BlockArgs blocks;  // of single blocks, and LoRA+
};

// Errors  kConfig naming the argument, with those that exist.
[[nodiscard]] NetworkArgs read_network_args(const NetworkOptions& options);

// As network_args algo=... calls a kind: "locon", "loha", "lokr", "ia3".
[[nodiscard]] std::string_view algo_name(nn::LoraKind kind);

// The layers that get a module, in order; conv_dim 0 leaves larger kernels out.
[[nodiscard]] std::vector<models::LoraTarget> choose_layers(const models::ModelInfo& info,
                                                            const NetworkArgs& args,
                                                            const NetworkOptions& options);

}  // namespace lora::train
