#include "train/train_model.h"

#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "train/network_args.h"

namespace lora::train {
namespace {

std::vector<models::LoraModule> modules_of_file(const models::ModelInfo& info,
                                                const std::string& path) {
    return with_context(fmt::format("while reading ranks from {}", path), [&] {
        const models::LoraFileContent content =
            models::read_lora_file(io::SafetensorsFile::open(path), info);
        if (!content.unknown.empty()) {
            log::warning("{}: {} modules do not belong to this model, first {}",
                         path,
                         content.unknown.size(),
                         content.unknown.front());
        }
        return content.modules;
    });
}

struct ModuleSize {
    int64_t rank = 0;  // 0: no module
    double alpha = 0;
};

// Of a layer, by its block where there are lists by block.
ModuleSize size_of(const models::LoraTarget& target,
                   const NetworkArgs& args,
                   const NetworkOptions& options) {
    const bool large = target.kind == models::LayerKind::kConv3x3;
    ModuleSize size{large ? args.conv_dim : options.network_dim,
                    large ? args.conv_alpha : options.network_alpha};
    const int block = target.is_text_encoder ? -1 : block_of_module(target.lora_name);
    if (block < 0) return size;
    const auto at = static_cast<size_t>(block);
    const auto& dims = large ? args.blocks.conv_block_dims : args.blocks.block_dims;
    const auto& alphas = large ? args.blocks.conv_block_alphas : args.blocks.block_alphas;
    if (dims) size.rank = (*dims)[at];
    if (alphas) size.alpha = (*alphas)[at];
    return size;
}

}  // namespace

std::vector<models::LoraModule> choose_modules(const models::ModelInfo& info,
                                               const NetworkOptions& options) {
    const bool text_encoder = !options.network_train_unet_only;
    const bool unet = !options.network_train_text_encoder_only;
    const NetworkArgs args = read_network_args(options);
    std::vector<models::LoraModule> modules;
    if (options.dim_from_weights) {
        for (models::LoraModule& module : modules_of_file(info, options.network_weights)) {
            const bool wanted = module.target.is_text_encoder ? text_encoder : unet;
            if (wanted && !args.blocks.is_removed(module.target.lora_name))
                modules.push_back(std::move(module));
        }
        return modules;
    }
    for (models::LoraTarget& target : choose_layers(info, args, options)) {
        const auto [rank, alpha] = size_of(target, args, options);
        if (rank == 0) continue;
        double used = alpha == 0 ? static_cast<double>(rank) : alpha;
        if (args.rs_lora) used *= std::sqrt(static_cast<double>(rank));
        models::LoraModuleOptions module = args.module;
        module.magnitude = args.dora;
        // LyCORIS' ia3 preset scales what the second layer of a feed-forward pair reads.
        module.on_input =
            module.kind == nn::LoraKind::kIa3 &&
            (target.lora_name.ends_with("_ff_net_2") || target.lora_name.ends_with("_mlp_fc2"));
        modules.push_back(models::make_lora_module(std::move(target), rank, used, module));
        modules.back().dropout = args.dropout;
    }
    if (modules.empty()) {
        throw Error(ErrorCode::kConfig, "the network options leave no layer to train")
            .with_hint("look at --network_args preset and conv_dim");
    }
    return modules;
}

TrainModel make_train_model(const models::ModelInfo& info,
                            const std::vector<models::LoraModule>& modules,
                            const TrainModelOptions& options) {
    TrainModel model;
    model.info = info;
    model.dtype = options.dtype;
    model.quantize_base = options.quantize_base;
    model.prediction = options.prediction;
    model.clip_skip = options.clip_skip;
    std::vector<LoraModule> rows;
    models::LoraFileContent frozen;
    bool has_text_encoder = false;
    bool has_unet = false;
    for (const models::LoraModule& module : modules) {
        const models::LoraTarget& target = module.target;
        rows.push_back({target.lora_name,
                        target.weight_shape,
                        target.is_text_encoder ? NetworkPart::kTextEncoder : NetworkPart::kUNet,
                        module.rank,
                        module.alpha,
                        module.kind,
                        module.factors,
                        module.on_input});
        (target.is_text_encoder ? has_text_encoder : has_unet) = true;
        const bool trained =
            target.is_text_encoder ? options.train_text_encoder : options.train_unet;
        if (trained) {
            models::attach_trainable(module, model.attachments);
        } else if (options.attach_untrained) {
            frozen.modules.push_back(module);
        }
    }
    models::attach_frozen(frozen, 1.0, "", model.attachments);
    model.train_text_encoder = options.train_text_encoder && has_text_encoder;
    model.train_unet = options.train_unet && has_unet;
    model.network = Network(std::move(rows));
    return model;
}

}  // namespace lora::train
