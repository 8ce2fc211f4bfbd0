#include "models/lora_file_weights.h"

#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "models/tensor_list.h"

namespace lora::models {
namespace {

Error bad_lora(const io::SafetensorsFile& file, const std::string& what) {
    return Error(ErrorCode::kFormat, fmt::format("LoRA file \"{}\": {}", file.name(), what));
}

// The part before the first dot, when the tensor belongs to a LoRA module.
std::string module_of(const std::string& key) {
    const bool known = key.starts_with("lora_unet_") || key.starts_with("lora_te");
    return known ? key.substr(0, key.find('.')) : std::string();
}

LoraModule read_module(const io::SafetensorsFile& file,
                       const std::string& prefix,
                       const LoraTarget& target) {
    const std::optional<TensorView> down = file.find(prefix + target.down_key());
    const std::optional<TensorView> up = file.find(prefix + target.up_key());
    if (!down || !up) {
        throw bad_lora(file, fmt::format("module {} lacks lora_down or lora_up", target.lora_name))
            .with_hint("LoHa, LoKr and other kinds are not read here");
    }
    if (file.find(prefix + target.lora_name + ".lora_mid.weight")) {
        throw bad_lora(file, fmt::format("module {} is in Tucker form", target.lora_name));
    }
    LoraModule module{target, down->shape.num_axes() >= 2 ? down->shape[0] : 0, 0};
    const bool fits = module.rank > 0 && module.rank <= 65536 &&
                      same_shape(down->shape, target.down_shape(module.rank)) &&
                      same_shape(up->shape, target.up_shape(module.rank));
    if (!fits || !is_float(down->dtype) || !is_float(up->dtype)) {
        throw bad_lora(file,
                       fmt::format("{} has shapes {} and {}, which do not fit a layer of shape {}",
                                   target.lora_name,
                                   down->shape.to_string(),
                                   up->shape.to_string(),
                                   target.weight_shape.to_string()))
            .with_hint("the LoRA belongs to another family of models");
    }
    module.alpha = static_cast<double>(module.rank);
    if (const std::optional<TensorView> alpha = file.find(prefix + target.alpha_key())) {
        if (alpha->shape.num_elements() != 1) {
            throw bad_lora(file, fmt::format("{} is no single number", target.alpha_key()));
        }
        module.alpha = static_cast<double>(to_floats(*alpha)[0]);
        if (!std::isfinite(module.alpha)) {
            throw bad_lora(file, fmt::format("{} is not finite", target.alpha_key()));
        }
    }
    return module;
}

}  // namespace

LoraFileContent read_lora_file(const io::SafetensorsFile& file,
                               const ModelInfo& info,
                               const std::string& prefix) {
    std::set<std::string> names;
    for (const io::TensorInfo& tensor : file.tensors()) {
        if (!tensor.name.starts_with(prefix)) continue;
        const std::string name = module_of(tensor.name.substr(prefix.size()));
        if (!name.empty()) names.insert(name);
    }
    if (names.empty()) {
        throw bad_lora(file, "holds no LoRA modules (lora_unet_..., lora_te_...)");
    }
    LoraFileContent content;
    for (const LoraTarget& target : list_lora_targets(info, {.conv = true})) {
        if (names.erase(target.lora_name) == 0) continue;
        content.modules.push_back(read_module(file, prefix, target));
    }
    content.unknown.assign(names.begin(), names.end());
    return content;
}

void attach_frozen(const LoraFileContent& content,
                   double multiplier,
                   const std::string& prefix,
                   nn::LoraAttachments& attachments) {
    for (const LoraModule& module : content.modules) {
        attachments.add(module.target.weight_name,
                        {.down_name = prefix + module.target.down_key(),
                         .up_name = prefix + module.target.up_key(),
                         .rank = module.rank,
                         .scale = multiplier * module.alpha / static_cast<double>(module.rank)});
    }
}

void attach_trainable(const LoraModule& module, nn::LoraAttachments& attachments) {
    attachments.add(module.target.weight_name,
                    {.down_name = module.target.down_key(),
                     .up_name = module.target.up_key(),
                     .rank = module.rank,
                     .scale = module.alpha / static_cast<double>(module.rank),
                     .trainable = true});
}

}  // namespace lora::models
