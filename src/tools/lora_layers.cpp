#include "tools/lora_layers.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "tools/internal/layer_reader.h"

namespace lora::tools {
namespace {

using Tensors = std::map<std::string, TensorView, std::less<>>;

Error bad_file(const io::SafetensorsFile& file, const std::string& what) {
    return Error(ErrorCode::kFormat, fmt::format("\"{}\" {}", file.name(), what));
}

// Alphas that diffusers keeps in the metadata instead of in tensors: one for a whole part.
class AdapterMetadata {
public:
    explicit AdapterMetadata(const io::SafetensorsFile& file) {
        const auto text = file.metadata().find("lora_adapter_metadata");
        if (text == file.metadata().end()) return;
        json_ = parse_json(text->second, "metadata lora_adapter_metadata");
    }

    // Adds an alpha where the file has none.
    void complete(const std::string& layer, Tensors& tensors) {
        if (!json_.is_object() || tensors.contains("alpha")) return;
        const std::string path = diffusers_path(layer);
        const size_t dot = path.find('.');
        const std::string part = path.substr(0, dot);
        const auto entry = json_.find(part + ".lora_alpha");
        double alpha = 0;
        if (entry != json_.end() && entry->is_number()) alpha = entry->get<double>();
        const auto pattern = json_.find(part + ".alpha_pattern");
        if (pattern != json_.end() && pattern->is_object() && dot != std::string::npos) {
            const auto own = pattern->find(path.substr(dot + 1));
            if (own != pattern->end() && own->is_number()) alpha = own->get<double>();
        }
        if (alpha == 0) return;
        const auto value = static_cast<float>(alpha);
        alphas_.push_back(Tensor::from_floats(Shape{}, {&value, 1}));
        tensors["alpha"] = alphas_.back().view();
    }

private:
    Json json_;
    std::deque<Tensor> alphas_;  // the views above point here
};

// SDXL's files of diffusers name two text encoders; sd-scripts numbers them.
void number_text_encoders(std::map<std::string, Tensors>& layers) {
    const bool two = std::any_of(layers.begin(), layers.end(), [](const auto& entry) {
        return entry.first.starts_with("lora_te2_");
    });
    if (!two) return;
    std::map<std::string, Tensors> renamed;
    for (auto& [name, tensors] : layers) {
        renamed[name.starts_with("lora_te_") ? "lora_te1_" + name.substr(8) : name] =
            std::move(tensors);
    }
    layers = std::move(renamed);
}

}  // namespace

double LoraLayer::scale() const {
    if (is_unscaled || kind == nn::LoraKind::kIa3) return 1;
    return alpha / static_cast<double>(rank);
}

int64_t LoraLayer::columns() const { return weight_shape.num_elements() / weight_shape[0]; }

const LoraLayer* LoraFile::find(std::string_view name) const {
    const auto it = std::lower_bound(
        layers.begin(), layers.end(), name, [](const LoraLayer& layer, std::string_view wanted) {
            return layer.name < wanted;
        });
    return it != layers.end() && it->name == name ? &*it : nullptr;
}

LoraFile read_lora(std::shared_ptr<const io::SafetensorsFile> file) {
    LoraFile lora;
    std::map<std::string, Tensors> layers;
    for (const io::TensorInfo& info : file->tensors()) {
        const auto parsed = parse_lora_key(info.name);
        if (!parsed) {
            lora.others.push_back(info.name);
            continue;
        }
        if (parsed->style == KeyStyle::kDiffusers) lora.style = KeyStyle::kDiffusers;
        const bool is_new =
            layers[parsed->key.layer].emplace(parsed->key.suffix, file->view(info)).second;
        if (!is_new) {
            throw bad_file(*file, fmt::format("says {} twice", info.name));
        }
    }
    if (layers.empty()) {
        throw bad_file(*file, "holds no layers of a LoRA (lora_unet_..., unet....lora_A.weight)")
            .with_hint("give a LoRA file here; a base model goes to --sd_model");
    }
    AdapterMetadata metadata(*file);
    for (auto& [name, tensors] : layers) metadata.complete(name, tensors);
    number_text_encoders(layers);
    for (auto& [name, tensors] : layers) {
        lora.layers.push_back(internal::read_layer(name, std::move(tensors), file->name()));
    }
    lora.file = std::move(file);
    return lora;
}

LoraFile open_lora(const std::string& path) {
    const auto file = std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
    return with_context(fmt::format("while reading LoRA file {}", path),
                        [&] { return read_lora(file); });
}

}  // namespace lora::tools
