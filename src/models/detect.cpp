// Recognition of model files.
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
            .with_hint("give a Stable Diffusion 1.x model file; a VAE goes to --vae");
    }
    if (has_name_starting_with(file, "down_blocks.") ||
        has_name_starting_with(file, "text_model.")) {
        throw not_a_model(file, "is one part of a diffusers folder, not a single-file model")
            .with_hint("give the single .safetensors file that holds UNet, VAE and text encoder");
    }
    if (has_name_starting_with(file, "double_blocks.") ||
        has_name_starting_with(file, "model.diffusion_model.double_blocks.") ||
        has_name_starting_with(file, "model.diffusion_model.joint_blocks.")) {
        throw not_a_model(file, "is a transformer model (Flux, SD 3), not Stable Diffusion 1.x");
    }
    throw not_a_model(
        file,
        fmt::format("is no model that is known here: of its {} tensors none is named {}...",
                    file.tensors().size(),
                    kUNetPrefix))
        .with_hint("give a Stable Diffusion 1.x model as a single .safetensors file");
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
        }
    }
    if (config.channels.empty()) {
        throw not_a_model(file, fmt::format("has no tensors {}input_blocks.1...", prefix));
    }
    if (config.in_channels == 9) {
        throw not_a_model(file, "is an inpainting model (9 input channels)")
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

ClipTextConfig detect_text(const io::SafetensorsFile& file) {
    ClipTextConfig config;
    const std::string old_prefix = "cond_stage_model.transformer.";  // without text_model
    const std::string table = "embeddings.token_embedding.weight";
    if (!has(file, config.prefix + table) && has(file, old_prefix + table)) {
        config.prefix = old_prefix;
    }
    config.vocabulary = axis_of(file, config.prefix + table, 0, 2);
    config.width = axis_of(file, config.prefix + table, 1, 2);
    config.positions = axis_of(file, config.prefix + "embeddings.position_embedding.weight", 0, 2);
    config.layers = 0;
    const auto layer_tensor = [&config](int64_t layer) {
        return fmt::format("{}encoder.layers.{}.mlp.fc1.weight", config.prefix, layer);
    };
    while (config.layers < 256 && has(file, layer_tensor(config.layers))) ++config.layers;
    config.hidden = axis_of(file, layer_tensor(0), 0, 2);
    config.heads = std::max<int64_t>(1, config.width / 64);
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

// What shapes do not tell.
void apply_metadata(const io::SafetensorsFile& file, ModelInfo& info) {
    const auto it = file.metadata().find("lora_cpp.model");
    if (it == file.metadata().end()) return;
    const Json json = parse_json(it->second, "metadata lora_cpp.model");
    if (!json.is_object()) {
        throw Error(ErrorCode::kFormat, "metadata lora_cpp.model is no JSON object");
    }
    info.unet.heads = read_int(json, "unet_num_heads", info.unet.heads, 1024);
    info.text.heads = read_int(json, "text_num_heads", info.text.heads, 1024);
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
    const auto prediction = json.find("prediction");
    if (prediction != json.end()) {
        info.v_prediction =
            prediction->is_string() && prediction->get<std::string>() == "v_prediction";
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
            .with_hint("give a Stable Diffusion 1.x model");
    }
    ModelInfo info;
    info.unet = detect_unet(file);
    const bool sd2 = has_name_starting_with(file, "cond_stage_model.model.");
    if (sd2) {
        info.family = Family::kSD2;
        info.unet.heads = 0;
        info.unet.head_size = 64;
        info.text.layers = 0;
        info.native_resolution_px = 768;
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
    if (!sd2) {
        require(file,
                info.text.layers > 0 && info.text.width % info.text.heads == 0 &&
                    info.text.positions == 77,
                "has a text encoder of unknown sizes");
        require(file,
                info.text.width == info.unet.context_size,
                "has a text encoder whose width is not the UNet's context size");
        check_tensors(file, clip_text_tensors(info.text));
    }
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
