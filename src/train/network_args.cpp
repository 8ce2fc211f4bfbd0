#include "train/network_args.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"

namespace lora::train {
namespace {

using nn::LoraKind;

struct PresetName {
    std::string_view name;
    LayerPreset preset;
};
constexpr PresetName kPresets[] = {
    {"full", LayerPreset::kFull},
    {"full-lin", LayerPreset::kFullLin},
    {"attn-mlp", LayerPreset::kAttnMlp},
    {"attn-only", LayerPreset::kAttnOnly},
    {"unet-only", LayerPreset::kUNetOnly},
    {"unet-transformer-only", LayerPreset::kUNetTransformerOnly},
    {"unet-convblock-only", LayerPreset::kUNetConvblockOnly},
    {"ia3", LayerPreset::kIa3},
};

struct AlgoName {
    std::string_view name;
    LoraKind kind;
};
constexpr AlgoName kAlgos[] = {
    {"lora", LoraKind::kLora},
    {"locon", LoraKind::kLora},
    {"loha", LoraKind::kLoha},
    {"lokr", LoraKind::kLokr},
    {"ia3", LoraKind::kIa3},
};

template <typename Rows>
std::string names_of(const Rows& rows) {
    std::string text;
    for (const auto& row : rows) text += fmt::format("{}{}", text.empty() ? "" : ", ", row.name);
    return text;
}

Error bad_value(const std::string& key, const std::string& text, const std::string& hint) {
    return Error(ErrorCode::kConfig, fmt::format("network_args {}: \"{}\" is not known", key, text))
        .with_hint(hint);
}

double number(const std::string& key, const std::string& text, double least) {
    const std::optional<double> value = parse_number<double>(text);
    if (!value || !std::isfinite(*value) || *value < least) {
        throw Error(
            ErrorCode::kConfig,
            fmt::format("network_args {}: \"{}\" is no number from {} on", key, text, least));
    }
    return *value;
}

int64_t integer(const std::string& key, const std::string& text, int64_t least) {
    const double value = number(key, text, static_cast<double>(least));
    if (value != std::floor(value) || value > 65536) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("network_args {}: \"{}\" is no whole number", key, text));
    }
    return static_cast<int64_t>(value);
}

bool flag(const std::string& key, const std::string& value) {
    const std::string text = lower_ascii(value);
    if (text == "true" || text == "1" || text == "yes") return true;
    if (text == "false" || text == "0" || text == "no") return false;
    throw bad_value(key, text, "True or False");
}

double chance(const std::string& key, const std::string& text) {
    const double value = number(key, text, 0);
    if (value >= 1) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("network_args {}: \"{}\" is no chance below 1", key, text));
    }
    return value;
}

// True when the argument is one that both modules take.
bool read_common(NetworkArgs& args, const std::string& key, const std::string& text) {
    if (key == "conv_dim") {
        args.conv_dim = integer(key, text, 0);
    } else if (key == "conv_alpha") {
        args.conv_alpha = number(key, text, 0);
    } else if (key == "rs_lora") {
        args.rs_lora = flag(key, text);
    } else if (key == "dora_wd" || key == "weight_decompose") {
        args.dora = flag(key, text);
    } else if (key == "rank_dropout") {
        args.dropout.rank = chance(key, text);
    } else if (key == "module_dropout") {
        args.dropout.module = chance(key, text);
    } else {
        return false;
    }
    return true;
}

bool read_lycoris(NetworkArgs& args, const std::string& key, const std::string& text) {
    if (key == "algo") {
        const auto* row = std::find_if(
            std::begin(kAlgos), std::end(kAlgos), [&](const auto& r) { return r.name == text; });
        if (row == std::end(kAlgos)) throw bad_value(key, text, "one of: " + names_of(kAlgos));
        args.module.kind = row->kind;
        if (row->kind == LoraKind::kIa3) args.preset = LayerPreset::kIa3;
    } else if (key == "preset") {
        const auto* row = std::find_if(std::begin(kPresets),
                                       std::end(kPresets),
                                       [&](const auto& r) { return r.name == text; });
        if (row == std::end(kPresets)) throw bad_value(key, text, "one of: " + names_of(kPresets));
        args.preset = row->preset;
    } else if (key == "use_tucker" || key == "use_cp" || key == "use_conv_cp") {
        args.module.tucker = flag(key, text);
    } else if (key == "factor") {
        args.module.factor = integer(key, text, -1);
    } else if (key == "decompose_both") {
        args.module.decompose_both = flag(key, text);
    } else if (key == "dropout") {
        args.dropout.elements = chance(key, text);
    } else if (key == "wd_on_output") {
        if (!flag(key, text)) {
            throw bad_value(
                key, text, "magnitudes are those of the outputs: True, or leave it out");
        }
    } else {
        return false;
    }
    return true;
}

bool is_ia3_layer(const models::LoraTarget& target) {
    const std::string& name = target.lora_name;
    for (const std::string_view end :
         {"_to_k", "_to_v", "_ff_net_2", "_k_proj", "_v_proj", "_mlp_fc2"}) {
        if (name.ends_with(end)) return true;
    }
    return false;
}

models::LoraTargetOptions parts_of(LayerPreset preset) {
    models::LoraTargetOptions parts{.conv = true, .ends = true};
    switch (preset) {
        case LayerPreset::kFull:
        case LayerPreset::kFullLin: break;
        case LayerPreset::kAttnMlp:
        case LayerPreset::kIa3:
            parts.conv = false;
            parts.ends = false;
            break;
        case LayerPreset::kAttnOnly:
            parts.conv = false;
            parts.ends = false;
            parts.attention_only = true;
            break;
        case LayerPreset::kUNetOnly: parts.text_encoder = false; break;
        case LayerPreset::kUNetTransformerOnly:
            parts.text_encoder = false;
            parts.conv = false;
            parts.ends = false;
            break;
        case LayerPreset::kUNetConvblockOnly:
            parts.text_encoder = false;
            parts.transformers = false;
            parts.ends = false;
            break;
    }
    return parts;
}

}  // namespace

NetworkArgs read_network_args(const NetworkOptions& options) {
    NetworkArgs args;
    args.lycoris = options.network_module == "lycoris.kohya";
    if (!args.lycoris && options.network_module != "networks.lora") {
        throw Error(ErrorCode::kConfig,
                    fmt::format("network_module {} is not known", options.network_module))
            .with_hint("networks.lora or lycoris.kohya");
    }
    if (args.lycoris) {
        args.conv_dim = options.network_dim;
        args.conv_alpha = options.network_alpha;
    }
    args.dropout.elements = options.network_dropout;
    args.dropout.on_output = args.lycoris;
    const std::vector<std::string_view> of_blocks = block_arg_names();
    args.blocks = read_block_args(options.network_args);
    for (const auto& [key, text] : options.network_args) {
        if (std::find(of_blocks.begin(), of_blocks.end(), key) != of_blocks.end()) continue;
        if (read_common(args, key, text)) continue;
        if (args.lycoris && read_lycoris(args, key, text)) continue;
        throw Error(
            ErrorCode::kConfig,
            fmt::format(
                "network_args {}: {} has no such setting here", key, options.network_module))
            .with_hint(fmt::format("{}; by block: {}",
                                   args.lycoris
                                       ? "algo, preset, conv_dim, conv_alpha, use_tucker, factor, "
                                         "decompose_both, rs_lora, dora_wd, dropout, rank_dropout, "
                                         "module_dropout"
                                       : "conv_dim, conv_alpha, rs_lora, dora_wd, rank_dropout, "
                                         "module_dropout (algo and preset belong to "
                                         "--network_module lycoris.kohya)",
                                   fmt::join(of_blocks, ", ")));
    }
    if (args.dora && args.module.kind == LoraKind::kIa3) {
        throw Error(ErrorCode::kConfig, "network_args dora_wd: IA3 has no magnitudes")
            .with_hint("leave it out, or take another algo");
    }
    return args;
}

std::string_view algo_name(nn::LoraKind kind) {
    std::string_view name;
    for (const AlgoName& row : kAlgos) {
        if (row.kind == kind) name = row.name;  // of two the later one: locon
    }
    return name;
}

std::vector<models::LoraTarget> choose_layers(const models::ModelInfo& info,
                                              const NetworkArgs& args,
                                              const NetworkOptions& options) {
    const bool has_conv = args.conv_dim > 0 || args.blocks.conv_block_dims;
    models::LoraTargetOptions parts{.conv = has_conv};
    if (args.lycoris) parts = parts_of(args.preset);
    parts.text_encoder = parts.text_encoder && !options.network_train_unet_only;
    parts.unet = parts.unet && !options.network_train_text_encoder_only;
    std::vector<models::LoraTarget> targets = models::list_lora_targets(info, parts);
    std::erase_if(targets, [&](const models::LoraTarget& target) {
        const bool large = target.kind == models::LayerKind::kConv3x3;
        if (args.blocks.is_removed(target.lora_name)) return true;
        if (large && (!has_conv || args.preset == LayerPreset::kFullLin)) return true;
        return args.lycoris && args.preset == LayerPreset::kIa3 && !is_ia3_layer(target);
    });
    return targets;
}

}  // namespace lora::train
