#include "tools/lora_result.h"

#include <cmath>
#include <deque>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/python_text.h"
#include "base/wall_clock.h"
#include "base/words.h"
#include "io/torch_checkpoint.h"

namespace lora::tools {
namespace {

Shape up_shape(const ResultLayer& layer) {
    std::vector<int64_t> sizes(layer.weight_shape.sizes().size(), 1);
    sizes[0] = layer.weight_shape[0];
    sizes[1] = layer.rank();
    return Shape(std::move(sizes));
}

Shape down_shape(const ResultLayer& layer) {
    std::vector<int64_t> sizes = layer.weight_shape.sizes();
    sizes[0] = layer.rank();
    return Shape(std::move(sizes));
}

// The tensors of a file, converted and kept.
class FileTensors {
public:
    explicit FileTensors(const SaveOptions& options) : options_(options) {}

    void add(const ResultLayer& layer) {
        const bool diffusers = options_.style == KeyStyle::kDiffusers;
        add({layer.name, "lora_down.weight"}, down_shape(layer), layer.down.values);
        if (diffusers) {
            std::vector<float> up = layer.up.values;
            const auto scale = static_cast<float>(layer.alpha / static_cast<double>(layer.rank()));
            for (float& value : up) value *= scale;
            add({layer.name, "lora_up.weight"}, up_shape(layer), up);
            return;
        }
        add({layer.name, "lora_up.weight"}, up_shape(layer), layer.up.values);
        add({layer.name, "alpha"}, Shape{}, std::vector<float>{static_cast<float>(layer.alpha)});
    }

    void add(const io::NamedTensor& item) { named_.push_back(item); }

    [[nodiscard]] const std::vector<io::NamedTensor>& named() const { return named_; }

private:
    void add(const LoraKey& key, const Shape& shape, const std::vector<float>& values) {
        storage_.push_back(to_dtype(Tensor::from_floats(shape, values).view(), options_.dtype));
        const TensorView view = storage_.back().view();
        for (const float value : to_floats(view)) {
            if (std::isfinite(value)) continue;
            throw Error(
                ErrorCode::kNumeric,
                fmt::format("{}.{} would hold a value that is not finite", key.layer, key.suffix))
                .with_hint("a larger number format helps: --save_precision float or bf16");
        }
        const std::string name = options_.style == KeyStyle::kDiffusers
                                     ? diffusers_key(key)
                                     : key.layer + "." + key.suffix;
        named_.push_back({name, view});
    }

    const SaveOptions& options_;
    std::deque<Tensor> storage_;
    std::vector<io::NamedTensor> named_;
};

std::string one_or_dynamic(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        if (word != words.front()) return "Dynamic";
    }
    return words.empty() ? "Dynamic" : words.front();
}

}  // namespace

std::optional<DType> precision_from_word(std::string_view word) {
    if (word == "float" || word == "fp32") return DType::kF32;
    if (word == "fp16") return DType::kF16;
    if (word == "bf16") return DType::kBF16;
    return std::nullopt;
}

void save_lora(const std::vector<ResultLayer>& layers, const SaveOptions& options) {
    FileTensors tensors(options);
    for (const ResultLayer& layer : layers) tensors.add(layer);
    for (const io::NamedTensor& item : options.extra) tensors.add(item);
    const std::string folder = parent_path(options.path);
    if (!folder.empty()) make_directories(folder);
    if (lower_ascii(extension(options.path)) != ".safetensors") {
        return io::write_checkpoint(options.path, tensors.named());
    }
    io::Metadata metadata = options.metadata;
    metadata["sshs_legacy_hash"] = io::sshs_legacy_hash(tensors.named(), metadata);
    metadata["sshs_model_hash"] = io::sshs_model_hash(tensors.named());
    io::write_safetensors(options.path, tensors.named(), metadata);
}

std::vector<io::PlannedTensor> planned_tensors(const std::vector<ResultLayer>& layers,
                                               DType dtype) {
    std::vector<io::PlannedTensor> planned;
    for (const ResultLayer& layer : layers) {
        planned.push_back({layer.name + ".lora_down.weight", dtype, down_shape(layer)});
        planned.push_back({layer.name + ".lora_up.weight", dtype, up_shape(layer)});
        planned.push_back({layer.name + ".alpha", dtype, Shape{}});
    }
    return planned;
}

io::Metadata with_hash_places(io::Metadata metadata) {
    metadata["sshs_model_hash"] = std::string(64, '0');
    metadata["sshs_legacy_hash"] = std::string(8, '0');
    return metadata;
}

io::Metadata network_metadata(const std::vector<ResultLayer>& layers, const io::Metadata& like) {
    std::vector<std::string> ranks;
    std::vector<std::string> alphas;
    for (const ResultLayer& layer : layers) {
        ranks.push_back(fmt::format("{}", layer.rank()));
        alphas.push_back(python_float(static_cast<double>(static_cast<float>(layer.alpha))));
    }
    io::Metadata metadata;
    metadata["ss_network_module"] = "networks.lora";
    metadata["ss_network_dim"] = one_or_dynamic(ranks);
    metadata["ss_network_alpha"] = one_or_dynamic(alphas);
    for (const char* key : {"ss_v2", "ss_base_model_version"}) {
        const auto it = like.find(key);
        if (it != like.end()) metadata[key] = it->second;
    }
    return metadata;
}

void add_modelspec(io::Metadata& metadata,
                   const std::string& path,
                   const std::string& merged_from) {
    const auto text = [&](const char* key) {
        const auto it = metadata.find(key);
        return it == metadata.end() ? std::string() : it->second;
    };
    const bool v2 = text("ss_v2") == "True";
    const bool v = text("ss_base_model_version").ends_with("_v");
    std::string architecture = "stable-diffusion-v1/lora";
    std::string resolution = "512x512";
    if (text("ss_base_model_version").starts_with("sdxl")) {
        architecture = "stable-diffusion-xl-v1-base/lora";
        resolution = "1024x1024";
    } else if (v2) {
        architecture = v ? "stable-diffusion-v2-768-v/lora" : "stable-diffusion-v2-512/lora";
        resolution = v ? "768x768" : "512x512";
    }
    metadata["modelspec.sai_model_spec"] = "1.0.1";
    metadata["modelspec.architecture"] = architecture;
    metadata["modelspec.implementation"] = "diffusers";
    metadata["modelspec.implementation_version"] = "lora.cpp";
    metadata["modelspec.title"] = without_extension(base_name(path));
    metadata["modelspec.date"] = iso_time(file_time());
    metadata["modelspec.resolution"] = resolution;
    metadata["modelspec.prediction_type"] = v ? "v" : "epsilon";
    if (!merged_from.empty()) metadata["modelspec.merged_from"] = merged_from;
}

}  // namespace lora::tools
