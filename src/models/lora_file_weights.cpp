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

using nn::LoraKind;

double scalar(const io::SafetensorsFile& file, const std::string& name, const TensorView& view) {
    if (view.shape.num_elements() != 1) {
        throw bad_lora(file, fmt::format("{} is no single number", name));
    }
    const auto value = static_cast<double>(to_floats(view)[0]);
    if (!std::isfinite(value)) throw bad_lora(file, fmt::format("{} is not finite", name));
    return value;
}

// The module's factors as the file has them.
class ModuleReader {
public:
    ModuleReader(const io::SafetensorsFile& file, const std::string& prefix, const LoraTarget& t)
        : file_(file), stem_(prefix + t.lora_name + "."), target_(t) {}

    LoraModule run() {
        for (const LoraKind kind :
             {LoraKind::kLora, LoraKind::kLoha, LoraKind::kLokr, LoraKind::kIa3}) {
            for (const std::string& suffix : factor_suffixes(kind)) {
                const std::optional<TensorView> view = file_.find(stem_ + suffix);
                if (!view) continue;
                if (!is_float(view->dtype))
                    throw bad_lora(file_, stem_ + suffix + " has no numbers");
                found_.push_back({suffix, view->shape});
            }
            if (!found_.empty()) return read(kind);
        }
        throw bad_lora(file_, fmt::format("module {} is of an unknown kind", target_.lora_name))
            .with_hint("LoRA, LoCon, LoHa, LoKr and IA3 are read");
    }

private:
    LoraModule read(LoraKind kind) {
        LoraModuleOptions options{.kind = kind};
        options.tucker = has("lora_mid.weight") || has("hada_t1") || has("lokr_t2");
        if (const auto on_input = file_.find(stem_ + "on_input");
            on_input && kind == LoraKind::kIa3) {
            options.on_input = scalar(file_, stem_ + "on_input", *on_input) != 0;
        }
        const int64_t rank = rank_of(kind);
        LoraModule module =
            kind == LoraKind::kLokr
                ? lokr(rank)
                : make_lora_module(target_, rank, static_cast<double>(rank), options);
        if (const auto view = file_.find(stem_ + std::string(nn::kMagnitude))) {
            read_magnitude(module, *view);
        }
        check(module);
        const std::optional<TensorView> alpha = file_.find(stem_ + "alpha");
        const bool whole = has("lokr_w1") && has("lokr_w2");
        if (alpha && kind != LoraKind::kIa3 && !whole) {
            module.alpha = scalar(file_, stem_ + "alpha", *alpha);
        }
        return module;
    }

    [[nodiscard]] const Shape* find(std::string_view suffix) const {
        for (const nn::LoraFactor& factor : found_) {
            if (factor.suffix == suffix) return &factor.shape;
        }
        return nullptr;
    }
    [[nodiscard]] bool has(std::string_view suffix) const { return find(suffix) != nullptr; }
    // An axis of a factor; 0 when either is not there.
    [[nodiscard]] int64_t axis(std::string_view suffix, int index) const {
        const Shape* shape = find(suffix);
        return shape != nullptr && shape->num_axes() > index ? (*shape)[index] : 0;
    }

    int64_t rank_of(LoraKind kind) {
        int64_t rank = 1;
        if (kind == LoraKind::kLora) rank = axis("lora_down.weight", 0);
        if (kind == LoraKind::kLoha) rank = axis("hada_w1_b", 0);
        if (kind == LoraKind::kLokr && !(has("lokr_w1") && has("lokr_w2"))) {
            rank = axis(has("lokr_w2") ? "lokr_w1_b" : "lokr_w2_b", 0);
        }
        if (rank < 1 || rank > 65536) {
            throw bad_lora(file_, fmt::format("module {} has no rank", target_.lora_name))
                .with_hint("a tensor of it is missing or has no first axis");
        }
        return rank;
    }

    void read_magnitude(LoraModule& module, const TensorView& view) {
        const Shape& weight = target_.weight_shape;
        if (!is_float(view.dtype) || view.shape.num_axes() < 1 || view.shape[0] != weight[0] ||
            view.shape.num_elements() != weight[0] || module.kind == LoraKind::kIa3) {
            throw bad_lora(file_,
                           fmt::format("module {} has magnitudes {} for a layer of shape {}",
                                       target_.lora_name,
                                       view.shape.to_string(),
                                       weight.to_string()))
                .with_hint(
                    "magnitudes of inputs (wd_on_output=False, LyCORIS before 3) are not "
                    "read here");
        }
        add_magnitude(module, weight);
        found_.push_back({std::string(nn::kMagnitude), module.factors.back().shape});
    }

    // w1 says how the layer is cut; the rest must fit.
    LoraModule lokr(int64_t rank) {
        LokrForm form;
        form.splits_w1 = !has("lokr_w1");
        form.splits_w2 = !has("lokr_w2");
        form.tucker = has("lokr_t2");
        form.a = axis(form.splits_w1 ? "lokr_w1_a" : "lokr_w1", 0);
        form.c = axis(form.splits_w1 ? "lokr_w1_b" : "lokr_w1", 1);
        const Shape& weight = target_.weight_shape;
        if (form.a < 1 || form.c < 1 || weight[0] % form.a != 0 || weight[1] % form.c != 0) {
            throw misfit();
        }
        return make_lokr_module(target_, rank, static_cast<double>(rank), form);
    }

    // The file's factors must be those that the module expects.
    void check(const LoraModule& module) {
        for (const nn::LoraFactor& factor : module.factors) {
            const Shape* shape = find(factor.suffix);
            if (shape == nullptr) {
                throw bad_lora(file_,
                               fmt::format("module {} lacks {}", target_.lora_name, factor.suffix));
            }
            if (!same_shape(*shape, factor.shape)) throw misfit();
        }
        if (found_.size() != module.factors.size()) throw misfit();
    }

    [[nodiscard]] Error misfit() const {
        std::string shapes;
        for (const nn::LoraFactor& factor : found_) {
            shapes += fmt::format(
                "{}{} {}", shapes.empty() ? "" : ", ", factor.suffix, factor.shape.to_string());
        }
        return bad_lora(file_,
                        fmt::format("{} has {}, which do not fit a layer of shape {}",
                                    target_.lora_name,
                                    shapes,
                                    target_.weight_shape.to_string()))
            .with_hint("the LoRA belongs to another family of models");
    }

    const io::SafetensorsFile& file_;
    std::string stem_;
    const LoraTarget& target_;
    std::vector<nn::LoraFactor> found_;
};

nn::LoraAttachment attachment_of(const LoraModule& module, const std::string& prefix) {
    return {.kind = module.kind,
            .module = prefix + module.target.lora_name,
            .factors = module.factors,
            .scale = module.scale(),
            .on_input = module.on_input};
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
    for (const LoraTarget& target : list_lora_targets(info, {.conv = true, .ends = true})) {
        if (names.erase(target.lora_name) == 0) continue;
        content.modules.push_back(ModuleReader(file, prefix, target).run());
    }
    content.unknown.assign(names.begin(), names.end());
    return content;
}

void attach_frozen(const LoraFileContent& content,
                   double multiplier,
                   const std::string& prefix,
                   nn::LoraAttachments& attachments) {
    for (const LoraModule& module : content.modules) {
        nn::LoraAttachment attachment = attachment_of(module, prefix);
        attachment.scale *= multiplier;
        attachment.multiplier = multiplier;
        attachments.add(module.target.weight_name, std::move(attachment));
    }
}

void attach_trainable(const LoraModule& module, nn::LoraAttachments& attachments) {
    nn::LoraAttachment attachment = attachment_of(module, "");
    attachment.trainable = true;
    attachment.dropout = module.dropout;
    attachments.add(module.target.weight_name, std::move(attachment));
}

}  // namespace lora::models
