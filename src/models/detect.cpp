// Recognition of model files.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "models/family.h"
#include "models/tensor_list.h"

namespace lora::models {
namespace {

constexpr const char* kUNetPrefix = "model.diffusion_model.";
constexpr const char* kVaePrefix = "first_stage_model.";
constexpr int64_t kMaxLevels = 8;
constexpr int64_t kMaxSize = 65536;  // of any axis that sizes are read from

bool has_name_starting_with(const io::SafetensorsFile& file, std::string_view start) {
    for (const io::TensorInfo& info : file.tensors()) {
        if (info.name.starts_with(start)) return true;
    }
    return false;
}

bool has(const io::SafetensorsFile& file, const std::string& name) {
    return file.find(name).has_value();
}

Error not_a_model(const io::SafetensorsFile& file, std::string_view what) {
    return Error(ErrorCode::kFormat, fmt::format("\"{}\" {}", file.name(), what));
}

// Axis `axis` of a tensor that must exist and have `num_axes` axes (further ones of size 1
// allowed).
int64_t axis_of(const io::SafetensorsFile& file, const std::string& name, int axis, int num_axes) {
    const std::optional<TensorView> found = file.find(name);
    if (!found) {
        throw not_a_model(file, fmt::format("lacks the tensor \"{}\"", name));
    }
    const int64_t size = found->shape.num_axes() >= num_axes ? found->shape[axis] : 0;
    if (size < 1 || size > kMaxSize) {
        throw not_a_model(file,
                          fmt::format("has a tensor \"{}\" of shape {}, which does not fit there",
                                      name,
                                      found->shape.to_string()));
    }
    return size;
}

// What people give by mistake.
[[noreturn]] void refuse(const io::SafetensorsFile& file) {
    if (has_name_starting_with(file, "lora_unet_") || has_name_starting_with(file, "lora_te_")) {
        throw not_a_model(file, "is a LoRA, not a base model")
            .with_hint("give the base model here and the LoRA as --network_weights or --lora");
    }
    const bool vae = has(file, "first_stage_model.decoder.conv_in.weight") ||
                     has(file, "decoder.conv_in.weight");
    if (vae) {
        throw not_a_model(file, "is a VAE, not a model: it holds no UNet")
            .with_hint("give a Stable Diffusion 1.x or 2.x model file; a VAE goes to --vae");
    }
    if (has_name_starting_with(file, "down_blocks.") ||
        has_name_starting_with(file, "text_model.")) {
        throw not_a_model(file, "is one part of a diffusers folder, not a single-file model")
            .with_hint("give the single .safetensors file that holds UNet, VAE and text encoder");
    }
    if (has_name_starting_with(file, "double_blocks.") ||
        has_name_starting_with(file, "model.diffusion_model.double_blocks.") ||
        has_name_starting_with(file, "model.diffusion_model.joint_blocks.")) {
        throw not_a_model(file,
                          "is a transformer model (Flux, SD 3), not Stable Diffusion 1.x or 2.x");
    }
    throw not_a_model(
        file,
        fmt::format("is no model that is known here: of its {} tensors none is named {}...",
                    file.tensors().size(),
                    kUNetPrefix))
        .with_hint("give a Stable Diffusion 1.x or 2.x model as a single .safetensors file");
}

UNetConfig detect_unet(const io::SafetensorsFile& file) {
    UNetConfig config;
    const std::string prefix = kUNetPrefix;
    config.in_channels = axis_of(file, prefix + "input_blocks.0.0.weight", 1, 4);
    config.out_channels = axis_of(file, prefix + "out.2.weight", 0, 4);
    config.channels.clear();
    config.has_attention.clear();
    for (int64_t level = 0; level < kMaxLevels; ++level) {
        const std::string block = fmt::format("{}input_blocks.{}.", prefix, 1 + 3 * level);
        if (!has(file, block + "0.in_layers.2.weight")) break;
        config.channels.push_back(axis_of(file, block + "0.in_layers.2.weight", 0, 4));
        const bool attention = has(file, block + "1.proj_in.weight");
        config.has_attention.push_back(attention);
        if (attention) {
            config.context_size =
                axis_of(file, block + "1.transformer_blocks.0.attn2.to_k.weight", 1, 2);
            config.linear_projection = file.at(block + "1.proj_in.weight").shape.num_axes() == 2;
        }
    }
    if (config.channels.empty()) {
        throw not_a_model(file, fmt::format("has no tensors {}input_blocks.1...", prefix));
    }
    if (config.in_channels == 9) {
        throw not_a_model(file, "is an inpainting model (9 input channels)")
            .with_hint("train on the ordinary model of the same family");
    }
    if (config.in_channels != config.out_channels) {
        throw not_a_model(file,
                          fmt::format("takes {} input channels and gives {} (a depth model?)",
                                      config.in_channels,
                                      config.out_channels))
            .with_hint("train on the ordinary model of the same family");
    }
    if (has(file, prefix + "label_emb.0.0.weight")) {
        throw not_a_model(file, "takes a picture's embedding beside the text (an unCLIP model)")
            .with_hint("train on the ordinary model of the same family");
    }
    return config;
}

VaeConfig detect_vae_at(const io::SafetensorsFile& file, const std::string& prefix) {
    VaeConfig config;
    config.prefix = prefix;
    config.channels.clear();
    for (int64_t level = 0; level < kMaxLevels; ++level) {
        const std::string name =
            fmt::format("{}encoder.down.{}.block.0.conv1.weight", prefix, level);
        if (!has(file, name)) break;
        config.channels.push_back(axis_of(file, name, 0, 4));
    }
    config.latent_channels = axis_of(file, prefix + "decoder.conv_in.weight", 1, 4);
    if (config.channels.empty()) {
        throw not_a_model(file, fmt::format("has no tensors {}encoder.down.0...", prefix));
    }
    return config;
}

// Sizes that both layouts name in their own way.
void read_text_sizes(const io::SafetensorsFile& file, ClipTextConfig& config) {
    const TextNames& names = text_names(config.layout);
    const auto name = [&config](std::string_view part) {
        return config.prefix + std::string(part);
    };
    const auto layer_tensor = [&](int64_t layer) {
        return fmt::format("{}{}{}.{}.weight", config.prefix, names.layers, layer, names.fc1);
    };
    config.vocabulary = axis_of(file, name(names.tokens), 0, 2);
    config.width = axis_of(file, name(names.tokens), 1, 2);
    config.positions = axis_of(file, name(names.positions), 0, 2);
    config.layers = 0;
    while (config.layers < 256 && has(file, layer_tensor(config.layers))) ++config.layers;
    config.hidden = axis_of(file, layer_tensor(0), 0, 2);
    config.heads = std::max<int64_t>(1, config.width / 64);
}

ClipTextConfig detect_text(const io::SafetensorsFile& file) {
    ClipTextConfig config;
    const std::string old_prefix = "cond_stage_model.transformer.";  // without text_model
    const std::string table(text_names(config.layout).tokens);
    if (!has(file, config.prefix + table) && has(file, old_prefix + table)) {
        config.prefix = old_prefix;
    }
    read_text_sizes(file, config);
    return config;
}

// SD 2.x was trained on the states before the last layer. Files made from diffusers' folders lack
// that layer already.
ClipTextConfig detect_openclip(const io::SafetensorsFile& file) {
    constexpr int64_t kLayersOfDiffusers = 23;
    ClipTextConfig config = sd21_info().text;
    read_text_sizes(file, config);
    if (config.layers != kLayersOfDiffusers) --config.layers;
    return config;
}

int64_t read_int(const Json& json, const char* key, int64_t otherwise, int64_t max) {
    const auto it = json.find(key);
    if (it == json.end()) return otherwise;
    if (!it->is_number_integer() || it->get<int64_t>() < 1 || it->get<int64_t>() > max) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("metadata lora_cpp.model: \"{}\" must be 1..{}", key, max));
    }
    return it->get<int64_t>();
}

// "v" or "epsilon" as model files say it: sai_model_spec, our own key, the marker that some SDXL
// tools leave. Nothing when the file is silent.
std::optional<bool> predicts_v(const io::SafetensorsFile& file, const Json& own) {
    const auto text_of = [&file](const char* key) {
        const auto it = file.metadata().find(key);
        return it == file.metadata().end() ? std::string() : it->second;
    };
    const auto it = own.find("prediction");
    if (it != own.end() && it->is_string()) return it->get<std::string>() == "v_prediction";
    const std::string type = text_of("modelspec.prediction_type");
    if (type == "v" || type == "v_prediction") return true;
    if (type == "epsilon") return false;
    const std::string architecture = text_of("modelspec.architecture");
    if (architecture.starts_with("stable-diffusion-v2-768-v")) return true;
    if (architecture.starts_with("stable-diffusion-v2-512")) return false;
    if (has(file, "v_pred")) return true;
    return std::nullopt;
}

Json own_metadata(const io::SafetensorsFile& file) {
    const auto it = file.metadata().find("lora_cpp.model");
    if (it == file.metadata().end()) return Json::object();
    Json json = parse_json(it->second, "metadata lora_cpp.model");
    if (!json.is_object()) {
        throw Error(ErrorCode::kFormat, "metadata lora_cpp.model is no JSON object");
    }
    return json;
}

// What shapes do not tell.
void apply_metadata(const io::SafetensorsFile& file, ModelInfo& info) {
    const Json json = own_metadata(file);
    const std::optional<bool> v = predicts_v(file, json);
    info.v_prediction = v.value_or(false);
    info.tells_prediction = v.has_value();
    if (info.family == Family::kSD2) info.native_resolution_px = info.v_prediction ? 768 : 512;
    info.unet.heads = read_int(json, "unet_num_heads", info.unet.heads, 1024);
    info.text.heads = read_int(json, "text_num_heads", info.text.heads, 1024);
    info.text.layers =
        read_int(json, "text_num_layers", info.text.layers, std::max<int64_t>(info.text.layers, 1));
    info.clip_skip = read_int(json, "clip_skip", info.clip_skip, 256);
    info.native_resolution_px =
        read_int(json, "native_resolution_px", info.native_resolution_px, kMaxSize);
    const auto scale = json.find("latent_scale");
    if (scale != json.end()) {
        if (!scale->is_number() || !(scale->get<double>() > 0)) {
            throw Error(ErrorCode::kFormat,
                        "metadata lora_cpp.model: latent_scale must be above 0");
        }
        info.vae.latent_scale = scale->get<double>();
    }
}

void require(const io::SafetensorsFile& file, bool condition, std::string_view what) {
    if (!condition) throw not_a_model(file, what);
}

// Sizes that the operators need; checked before any network is written.
void check_unet_sizes(const io::SafetensorsFile& file, const UNetConfig& unet) {
    for (const int64_t width : unet.channels) {
        require(file, width % 32 == 0, "has UNet channels that do not split into 32 groups");
        require(file,
                unet.heads > 0 ? width % unet.heads == 0 : width % unet.head_size == 0,
                "has UNet channels that its attention heads do not divide");
    }
}

void check_vae_sizes(const io::SafetensorsFile& file, const VaeConfig& vae) {
    for (const int64_t width : vae.channels) {
        require(file, width % 32 == 0, "has VAE channels that do not split into 32 groups");
    }
}

// Every tensor that the networks read, with its shape.
void check_tensors(const io::SafetensorsFile& file, const std::vector<TensorSpec>& specs) {
    int64_t num_missing = 0;
    std::string first;
    for (const TensorSpec& spec : specs) {
        const std::optional<TensorView> found = file.find(spec.name);
        if (!found) {
            if (num_missing++ == 0) first = spec.name;
            continue;
        }
        if (!same_shape(found->shape, spec.shape) || !is_float(found->dtype)) {
            throw not_a_model(file,
                              fmt::format("has a tensor \"{}\" of type {} and shape {} where {} "
                                          "belongs",
                                          spec.name,
                                          dtype_name(found->dtype),
                                          found->shape.to_string(),
                                          spec.shape.to_string()));
        }
    }
    if (num_missing > 0) {
        throw not_a_model(file,
                          fmt::format("lacks {} tensors, the first is \"{}\"", num_missing, first));
    }
}

bool has_sd1_text(const io::SafetensorsFile& file) {
    return has_name_starting_with(file, "cond_stage_model.transformer.");
}

}  // namespace

ModelInfo detect_model(const io::SafetensorsFile& file, const DetectOptions& options) {
    if (!has(file, std::string(kUNetPrefix) + "input_blocks.0.0.weight")) refuse(file);
    if (has_name_starting_with(file, "conditioner.embedders.")) {
        throw not_a_model(file, "is a Stable Diffusion XL model")
            .with_hint("give a Stable Diffusion 1.x or 2.x model");
    }
    ModelInfo info;
    info.unet = detect_unet(file);
    const bool sd2 = has_name_starting_with(file, "cond_stage_model.model.");
    if (sd2) {
        info.family = Family::kSD2;
        info.unet.heads = 0;
        info.unet.head_size = sd21_info().unet.head_size;
        info.text = detect_openclip(file);
    } else {
        require(file,
                has_sd1_text(file),
                "holds a UNet but no text encoder (cond_stage_model.transformer...)");
        info.text = detect_text(file);
    }
    if (options.needs_vae) {
        require(file,
                has(file, std::string(kVaePrefix) + "decoder.conv_in.weight"),
                "holds no VAE (first_stage_model...)");
        info.vae = detect_vae_at(file, kVaePrefix);
    }
    apply_metadata(file, info);
    check_unet_sizes(file, info.unet);
    check_tensors(file, unet_tensors(info.unet));
    if (options.needs_vae) {
        check_vae_sizes(file, info.vae);
        check_tensors(file, vae_tensors(info.vae));
    }
    require(
        file,
        info.text.layers > 0 && info.text.width % info.text.heads == 0 && info.text.positions == 77,
        "has a text encoder of unknown sizes");
    require(file,
            info.text.width == info.unet.context_size,
            "has a text encoder whose width is not the UNet's context size");
    check_tensors(file, clip_text_tensors(info.text));
    return info;
}

VaeConfig detect_vae(const io::SafetensorsFile& file) {
    for (const std::string prefix : {"first_stage_model.", ""}) {
        if (!has(file, prefix + "decoder.conv_in.weight")) continue;
        VaeConfig config = detect_vae_at(file, prefix);
        check_vae_sizes(file, config);
        check_tensors(file, vae_tensors(config));
        return config;
    }
    throw not_a_model(file, "holds no VAE: there is no tensor decoder.conv_in.weight")
        .with_hint("a VAE in diffusers' layout must be converted to the single-file layout first");
}

}  // namespace lora::models
