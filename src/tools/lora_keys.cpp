#include "tools/lora_keys.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/words.h"

namespace lora::tools {
namespace {

struct Ending {
    std::string_view text;
    std::string_view suffix;  // sd-scripts' word
};

constexpr Ending kEndings[] = {
    {".lora_A.weight", "lora_down.weight"},
    {".lora_B.weight", "lora_up.weight"},
    {".lora_A.default.weight", "lora_down.weight"},
    {".lora_B.default.weight", "lora_up.weight"},
    {".lora_down.weight", "lora_down.weight"},
    {".lora_up.weight", "lora_up.weight"},
    {".lora.down.weight", "lora_down.weight"},
    {".lora.up.weight", "lora_up.weight"},
    {".lora_linear_layer.down.weight", "lora_down.weight"},
    {".lora_linear_layer.up.weight", "lora_up.weight"},
    {"_lora.down.weight", "lora_down.weight"},
    {"_lora.up.weight", "lora_up.weight"},
    {".lora_magnitude_vector", "dora_scale"},
    {".alpha", "alpha"},
};

constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"unet.", "lora_unet_"},
    {"text_encoder.", "lora_te_"},
    {"text_encoder_2.", "lora_te2_"},
    {"base_model.model.text_model.", "lora_te_text_model_"},
    {"base_model.model.", "lora_unet_"},
    {"text_model.", "lora_te_text_model_"},
    {"down_blocks.", "lora_unet_down_blocks_"},
    {"mid_block.", "lora_unet_mid_block_"},
    {"up_blocks.", "lora_unet_up_blocks_"},
};

// Words of the paths that hold underscores themselves.
constexpr std::array<std::string_view, 24> kWords = {
    "down_blocks",   "up_blocks",     "mid_block",      "transformer_blocks",
    "to_q",          "to_k",          "to_v",           "to_out",
    "proj_in",       "proj_out",      "conv_in",        "conv_out",
    "conv_shortcut", "time_emb_proj", "time_embedding", "linear_1",
    "linear_2",      "text_model",    "self_attn",      "q_proj",
    "k_proj",        "v_proj",        "out_proj",       "add_embedding"};

// "unet.mid_block...attn1.processor.to_out" to sd-scripts' name; empty for other models' paths.
std::string layer_of_path(std::string path) {
    replace_all(path, ".processor.", ".");
    if (path.ends_with(".to_out")) path += ".0";
    for (const auto& [from, to] : kPrefixes) {
        if (!path.starts_with(from)) continue;
        std::string layer = std::string(to) + path.substr(from.size());
        std::replace(layer.begin(), layer.end(), '.', '_');
        // The text encoder's projections under the words of the UNet's.
        replace_all(layer, "_self_attn_to_q", "_self_attn_q_proj");
        replace_all(layer, "_self_attn_to_k", "_self_attn_k_proj");
        replace_all(layer, "_self_attn_to_v", "_self_attn_v_proj");
        replace_all(layer, "_self_attn_to_out_0", "_self_attn_out_proj");
        return layer;
    }
    return {};
}

// The first part of an underscored path: a known word, or up to the next underscore.
std::string_view first_part(std::string_view path) {
    for (const std::string_view word : kWords) {
        if (!path.starts_with(word)) continue;
        if (path.size() == word.size() || path[word.size()] == '_') return word;
    }
    return path.substr(0, path.find('_'));
}

std::string dotted(std::string_view path) {
    std::string out;
    while (!path.empty()) {
        const std::string_view part = first_part(path);
        if (!out.empty()) out += '.';
        out += part;
        path.remove_prefix(std::min(part.size() + 1, path.size()));
    }
    return out;
}

// The number that follows `word` in the name; -1 when there is none.
int number_after(std::string_view text, std::string_view word) {
    const size_t at = text.find(word);
    if (at == std::string_view::npos) return -1;
    std::string_view rest = text.substr(at + word.size());
    rest = rest.substr(0, rest.find('_'));
    const int value = parse_number<int>(rest).value_or(-1);
    return value > 99 ? -1 : value;
}

}  // namespace

std::optional<LoraKey> match_ending(std::string_view name) {
    for (const Ending& ending : kEndings) {
        if (!name.ends_with(ending.text)) continue;
        name.remove_suffix(ending.text.size());
        return LoraKey{std::string(name), std::string(ending.suffix)};
    }
    return std::nullopt;
}

std::optional<ParsedKey> parse_lora_key(std::string_view name) {
    if (name.starts_with("lora_unet_") || name.starts_with("lora_te")) {
        const size_t dot = name.find('.');
        if (dot == std::string_view::npos) return std::nullopt;
        ParsedKey parsed{{std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))}};
        for (const Ending& ending : kEndings) {
            if (ending.text.substr(1) == parsed.key.suffix) parsed.key.suffix = ending.suffix;
        }
        return parsed;
    }
    auto key = match_ending(name);
    if (!key) return std::nullopt;
    key->layer = layer_of_path(std::move(key->layer));
    if (key->layer.empty()) return std::nullopt;
    return ParsedKey{std::move(*key), KeyStyle::kDiffusers};
}

std::string diffusers_path(std::string_view layer) {
    constexpr std::pair<std::string_view, std::string_view> kParts[] = {
        {"lora_unet_", "unet."},
        {"lora_te1_", "text_encoder."},
        {"lora_te2_", "text_encoder_2."},
        {"lora_te_", "text_encoder."}};
    for (const auto& [from, to] : kParts) {
        if (layer.starts_with(from)) return std::string(to) + dotted(layer.substr(from.size()));
    }
    return std::string(layer);
}

std::string diffusers_key(const LoraKey& key) {
    const std::string path = diffusers_path(key.layer);
    if (key.suffix == "lora_down.weight") return path + ".lora_A.weight";
    if (key.suffix == "lora_up.weight") return path + ".lora_B.weight";
    return path + "." + key.suffix;
}

bool is_text_encoder_layer(std::string_view layer) { return layer.starts_with("lora_te"); }

int block_of_layer(std::string_view layer) {
    if (is_text_encoder_layer(layer)) return -1;
    if (layer.find("mid_block") != std::string_view::npos) return 12;
    const bool up = layer.find("up_blocks_") != std::string_view::npos;
    const int level = number_after(layer, up ? "up_blocks_" : "down_blocks_");
    if (level < 0) return 0;  // the ends, the time embedding
    int place = std::max(number_after(layer, "_resnets_"), number_after(layer, "_attentions_"));
    if (layer.find("samplers_") != std::string_view::npos) place = 2;
    return std::clamp(3 * level + std::max(place, 0) + (up ? 13 : 1), 0, 24);
}

std::string block_name(int block) {
    if (block < 0) return "text encoder";
    if (block == 12) return "MID";
    return block < 12 ? fmt::format("IN{:02}", block) : fmt::format("OUT{:02}", block - 13);
}

int kernel_of_layer(std::string_view layer) {
    for (const std::string_view end : {"_conv1", "_conv2", "_conv", "unet_conv_in", "_conv_out"}) {
        if (layer.ends_with(end)) return 3;
    }
    return 1;
}

}  // namespace lora::tools
