#include "train/train_model.h"

#include <charconv>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"

namespace lora::train {
namespace {

std::optional<double> network_arg(const NetworkOptions& options, const std::string& name) {
    for (const auto& [key, text] : options.network_args) {
        if (key != name) continue;
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || !(value >= 0)) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("network_args {}: \"{}\" is not a number", name, text));
        }
        return value;
    }
    return std::nullopt;
}

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

}  // namespace

std::vector<models::LoraModule> choose_modules(const models::ModelInfo& info,
                                               const NetworkOptions& options) {
    const bool text_encoder = !options.network_train_unet_only;
    const bool unet = !options.network_train_text_encoder_only;
    std::vector<models::LoraModule> modules;
    if (options.dim_from_weights) {
        for (models::LoraModule& module : modules_of_file(info, options.network_weights)) {
            const bool wanted = module.target.is_text_encoder ? text_encoder : unet;
            if (wanted) modules.push_back(std::move(module));
        }
        return modules;
    }
    const auto conv_dim = static_cast<int64_t>(network_arg(options, "conv_dim").value_or(0));
    const double conv_alpha = network_arg(options, "conv_alpha").value_or(1);
    const models::LoraTargetOptions wanted{
        .text_encoder = text_encoder, .unet = unet, .conv = conv_dim > 0};
    for (models::LoraTarget& target : models::list_lora_targets(info, wanted)) {
        const bool is_3x3 = target.kind == models::LayerKind::kConv3x3;
        const int64_t rank = is_3x3 ? conv_dim : options.network_dim;
        const double alpha = is_3x3 ? conv_alpha : options.network_alpha;
        const double used = alpha == 0 ? static_cast<double>(rank) : alpha;
        modules.push_back({std::move(target), rank, used});
    }
    return modules;
}

TrainModel make_train_model(const models::ModelInfo& info,
                            const std::vector<models::LoraModule>& modules,
                            const TrainModelOptions& options) {
    TrainModel model;
    model.info = info;
    model.dtype = options.dtype;
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
                        module.alpha});
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
