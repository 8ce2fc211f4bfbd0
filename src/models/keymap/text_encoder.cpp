#include "models/keymap/text_encoder.h"

namespace lora::models {
namespace {

constexpr TextNames kTransformersNames{.tokens = "embeddings.token_embedding.weight",
                                       .positions = "embeddings.position_embedding.weight",
                                       .layers = "encoder.layers.",
                                       .norm1 = "layer_norm1",
                                       .q = "self_attn.q_proj",
                                       .k = "self_attn.k_proj",
                                       .v = "self_attn.v_proj",
                                       .out = "self_attn.out_proj",
                                       .norm2 = "layer_norm2",
                                       .fc1 = "mlp.fc1",
                                       .fc2 = "mlp.fc2",
                                       .final_norm = "final_layer_norm"};

constexpr TextNames kOpenClipNames{.tokens = "token_embedding.weight",
                                   .positions = "positional_embedding",
                                   .layers = "transformer.resblocks.",
                                   .norm1 = "ln_1",
                                   .q = "attn.q_proj",
                                   .k = "attn.k_proj",
                                   .v = "attn.v_proj",
                                   .out = "attn.out_proj",
                                   .norm2 = "ln_2",
                                   .fc1 = "mlp.c_fc",
                                   .fc2 = "mlp.c_proj",
                                   .final_norm = "ln_final"};

}  // namespace

const TextNames& text_names(TextLayout layout) {
    return layout == TextLayout::kOpenClip ? kOpenClipNames : kTransformersNames;
}

StoredTensor stored_tensor(std::string_view name) {
    constexpr std::string_view kAttention = ".attn.";
    constexpr std::string_view kThirds = "qkv";
    const size_t at = name.rfind(kAttention);
    if (at != std::string_view::npos && name.find(kOpenClipNames.layers) < at) {
        const std::string_view part = name.substr(at + kAttention.size());  // "q_proj.weight"
        const size_t third = part.empty() ? std::string_view::npos : kThirds.find(part.front());
        if (third != std::string_view::npos && part.substr(1).starts_with("_proj.")) {
            const std::string_view kind = part.substr(std::string_view("q_proj.").size());
            return {.name = std::string(name.substr(0, at + kAttention.size())) + "in_proj_" +
                            std::string(kind),
                    .part = static_cast<int64_t>(third),
                    .num_parts = static_cast<int64_t>(kThirds.size())};
        }
    }
    return {.name = std::string(name)};
}

}  // namespace lora::models
