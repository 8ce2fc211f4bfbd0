#include "app/file_info.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "base/attempt.h"
#include "models/family.h"
#include "nn/lora.h"
#include "tensor/tensor.h"
#include "tools/lora_keys.h"

namespace lora::app {
namespace {

using io::TensorInfo;

using NetworkKind = nn::LoraKind;

// Tensors that tell a network's kind, by sd-scripts' words.
struct KeyEnd {
    std::string_view text;
    NetworkKind kind;
    bool tells_rank;  // the first axis of this tensor is the rank
};

constexpr KeyEnd kKeyEnds[] = {
    {"lora_down.weight", NetworkKind::kLora, true},
    {"lora_mid.weight", NetworkKind::kLora, false},
    {"hada_w1_b", NetworkKind::kLoha, true},
    {"lokr_w1_b", NetworkKind::kLokr, true},
    {"lokr_w2_b", NetworkKind::kLokr, true},
    {"lokr_w1", NetworkKind::kLokr, false},
    {"lokr_w2", NetworkKind::kLokr, false},
    {"on_input", NetworkKind::kIa3, false},
};

// The layer as the tensor's name spells it, when the name ends so in any of the spellings.
std::optional<std::string> layer_before(std::string_view end, std::string_view name) {
    if (auto key = tools::match_ending(name)) {
        if (key->suffix != end) return std::nullopt;
        return std::move(key->layer);
    }
    if (!name.ends_with(end)) return std::nullopt;
    name.remove_suffix(end.size());
    if (!name.ends_with('.')) return std::nullopt;
    return std::string(name.substr(0, name.size() - 1));
}

struct Module {
    NetworkKind kind = NetworkKind::kLora;
    bool is_conv3 = false;
    std::optional<int64_t> rank;
    int64_t in = 0;  // of the original layer, where the tensor tells
};

std::map<std::string, Module> network_modules(const std::vector<TensorInfo>& tensors) {
    std::map<std::string, Module> modules;
    for (const TensorInfo& tensor : tensors) {
        for (const KeyEnd& end : kKeyEnds) {
            const auto layer = layer_before(end.text, tensor.name);
            if (!layer) continue;
            if (tensor.shape.num_axes() < 2 && end.kind != NetworkKind::kIa3) continue;
            Module& module = modules[*layer];
            module.kind = end.kind;
            if (end.tells_rank) {
                module.rank = tensor.shape[0];
                module.in = tensor.shape[1];
            }
            if (tensor.shape.num_axes() == 4 && tensor.shape[2] > 1) module.is_conv3 = true;
            break;
        }
    }
    return modules;
}

bool is_text_encoder(std::string_view name) {
    return name.starts_with("lora_te") || name.find("text_encoder") != std::string_view::npos ||
           name.find("text_model") != std::string_view::npos;
}

// As sd-scripts' metadata has it, for networks of models of unusual sizes.
std::string family_of_metadata(const io::Metadata& metadata) {
    const auto text_of = [&metadata](const char* key) {
        const auto it = metadata.find(key);
        return it == metadata.end() ? std::string() : it->second;
    };
    if (text_of("ss_v2") == "True") return "sd2";
    const std::string version = text_of("ss_base_model_version");
    if (version.starts_with("sd_v1")) return "sd1";
    if (version.starts_with("sd_v2")) return "sd2";
    if (version.starts_with("sdxl")) return "sdxl";
    return {};
}

// Cross attention's keys read the text encoder's width, which tells the family.
std::string family_of_network(const std::map<std::string, Module>& modules,
                              const io::Metadata& metadata) {
    std::string told = family_of_metadata(metadata);
    for (const auto& [name, module] : modules) {
        if (name.starts_with("lora_te1_") || name.starts_with("lora_te2_")) return "sdxl";
        const bool reads_text = name.find("attn2_to_k") != std::string::npos ||
                                name.find("attn2.to_k") != std::string::npos ||
                                name.find("attn2.processor.to_k") != std::string::npos;
        if (!reads_text || module.kind == NetworkKind::kLokr) continue;
        if (module.in == 1024) return "sd2";
        if (module.in == 2048) return "sdxl";
        if (module.in == 768) return "sd1";
        if (!told.empty()) return told;
        if (module.in < 768 && module.in > 0) return "sd1";
    }
    if (!told.empty()) return told;
    for (const auto& [name, module] : modules) {
        if (!is_text_encoder(name) || module.in == 0) continue;
        return module.in == 1024 || module.in == 4096 ? "sd2" : "sd1";
    }
    return "unknown";
}

std::string kind_of_network(const std::map<std::string, Module>& modules) {
    bool has_conv = false;
    for (const auto& [name, module] : modules) {
        if (module.kind == NetworkKind::kLoha) return "loha";
        if (module.kind == NetworkKind::kLokr) return "lokr";
        if (module.kind == NetworkKind::kIa3) return "ia3";
        has_conv = has_conv || module.is_conv3;
    }
    return has_conv ? "locon" : "lora";
}

std::optional<double> scalar(const TensorView& tensor) {
    if (!is_float(tensor.dtype) && tensor.dtype != DType::kI64) return std::nullopt;
    return static_cast<double>(to_floats(tensor).front());
}

void read_network(const io::SafetensorsFile& file, FileInfo& info) {
    const auto modules = network_modules(file.tensors());
    std::set<int64_t> ranks;
    for (const auto& [name, module] : modules) {
        if (module.rank) ranks.insert(*module.rank);
        (is_text_encoder(name) ? info.text_encoder_modules : info.unet_modules) += 1;
    }
    std::set<double> alphas;
    for (const TensorInfo& tensor : file.tensors()) {
        if (!tensor.name.ends_with(".alpha") || tensor.shape.num_elements() != 1) continue;
        const auto value = scalar(file.view(tensor));
        if (value && std::isfinite(*value)) alphas.insert(*value);
    }
    info.kind = kind_of_network(modules);
    info.family = family_of_network(modules, file.metadata());
    info.modules = static_cast<int64_t>(modules.size());
    info.ranks.assign(ranks.begin(), ranks.end());
    info.alphas.assign(alphas.begin(), alphas.end());
    info.trigger_words = trigger_words(file.metadata(), 8);
}

void read_numbers(std::shared_ptr<const io::SafetensorsFile> file, FileInfo& info) {
    const auto problem =
        attempt([&] { info.analysis = tools::analyze_lora(tools::read_lora(std::move(file))); });
    if (problem) info.notes.push_back(problem->message());
}

bool holds(const io::SafetensorsFile& file, std::string_view prefix) {
    return std::any_of(file.tensors().begin(), file.tensors().end(), [&](const TensorInfo& t) {
        return t.name.starts_with(prefix);
    });
}

void read_model(const io::SafetensorsFile& file, FileInfo& info) {
    std::optional<models::ModelInfo> model;
    const auto problem = attempt([&] { model = models::detect_model(file); });
    if (model) {
        info.kind = "model";
        info.family = models::family_name(model->family);
        const bool guessed = model->family == models::Family::kSD2 && !model->tells_prediction;
        info.notes.push_back(
            fmt::format("native size {} px, {}{}",
                        model->native_resolution_px,
                        model->v_prediction ? "v-prediction" : "noise prediction",
                        guessed ? " unless it is a 768-v model: the file does not say" : ""));
        return;
    }
    const bool has_unet = holds(file, "model.diffusion_model.");
    if (has_unet) {
        info.kind = "model";
        if (holds(file, "conditioner.embedders.")) info.family = "sdxl";
        if (holds(file, "cond_stage_model.model.")) info.family = "sd2";
    } else if (holds(file, "first_stage_model.") || holds(file, "decoder.conv_in.")) {
        info.kind = "vae";
    }
    if (problem) info.notes.push_back(problem->message());
}

}  // namespace

FileInfo inspect_file(const std::string& path, InspectDepth depth) {
    const auto opened =
        std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
    const io::SafetensorsFile& file = *opened;
    FileInfo info;
    info.kind = "unknown";
    info.family = "unknown";
    info.bytes = file_size_bytes(path);
    info.metadata = file.metadata();
    std::map<std::string, size_t> bytes_of_dtype;
    for (const TensorInfo& tensor : file.tensors()) {
        info.num_parameters += tensor.shape.num_elements();
        bytes_of_dtype[std::string(dtype_name(tensor.dtype))] += tensor.bytes;
    }
    std::vector<std::pair<size_t, std::string>> dtypes;
    dtypes.reserve(bytes_of_dtype.size());
    for (const auto& [name, bytes] : bytes_of_dtype) dtypes.emplace_back(bytes, name);
    std::sort(dtypes.rbegin(), dtypes.rend());
    for (const auto& [bytes, name] : dtypes) info.dtypes.push_back(name);

    if (!network_modules(file.tensors()).empty()) {
        read_network(file, info);
        if (depth == InspectDepth::kNumbers) read_numbers(opened, info);
    } else {
        read_model(file, info);
    }
    return info;
}

}  // namespace lora::app
