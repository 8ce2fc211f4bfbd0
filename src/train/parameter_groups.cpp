#include "train/parameter_groups.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <span>
#include <tuple>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"

namespace lora::train {
namespace {

constexpr int kMid = 12;
constexpr int kSideBlocks = 12;

// The digits at the front of `text`.
std::optional<int> leading_number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) return std::nullopt;
    return value;
}

double number_of(const char* option, std::string_view text) {
    text = trimmed(text, " ");
    if (text.empty()) return 0;  // an empty entry, as kohya reads it
    const std::optional<double> value = parse_number<double>(text);
    if (!value || !(*value >= 0)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("{}: \"{}\" is not a number of 0 or more", option, text));
    }
    return *value;
}

double preset_value(const char* option, std::string_view name, int i) {
    const double last = kSideBlocks - 1;
    const double quarter = std::numbers::pi / 2;
    if (name == "sine") return std::sin(quarter * i / last);
    if (name == "cosine") return std::sin(quarter * (last - i) / last);
    if (name == "linear") return i / last;
    if (name == "reverse_linear") return (last - i) / last;
    if (name == "zeros") return 0;
    throw Error(ErrorCode::kConfig, fmt::format("{}: preset \"{}\" is not known", option, name))
        .with_hint("12 numbers with commas, or sine, cosine, linear, reverse_linear, zeros");
}

void fill_side(const char* option, std::string_view text, std::span<double> side) {
    if (text.empty()) return;
    if (text.find(',') == std::string_view::npos) {
        const size_t plus = text.find('+');
        const double base =
            plus == std::string_view::npos ? 0.0 : number_of(option, text.substr(plus + 1));
        for (size_t i = 0; i < side.size(); ++i) {
            side[i] = preset_value(option, text.substr(0, plus), static_cast<int>(i)) + base;
        }
        return;
    }
    // Longer lists are cut, shorter ones go on with 1.
    const std::vector<std::string_view> words = split(text, ',');
    for (size_t i = 0; i < std::min(side.size(), words.size()); ++i) {
        side[i] = number_of(option, words[i]);
    }
}

}  // namespace

int block_of_module(std::string_view name) {
    if (name.find("mid_block") != std::string_view::npos) return kMid;
    const bool is_up = name.find("_up_blocks_") != std::string_view::npos;
    const std::string_view word = is_up ? "_up_blocks_" : "_down_blocks_";
    const size_t at = name.find(word);
    if (at == std::string_view::npos) {
        return name.find("lora_unet_conv_in") != std::string_view::npos ? 0 : -1;
    }
    const std::string_view rest = name.substr(at + word.size());
    const int block = leading_number(rest).value_or(0);
    int place = 2;  // of downsamplers and upsamplers
    for (const std::string_view kind : {"_resnets_", "_attentions_"}) {
        const size_t found = rest.find(kind);
        if (found != std::string_view::npos) {
            place = leading_number(rest.substr(found + kind.size())).value_or(0);
        }
    }
    const int index = 3 * block + place;
    return is_up ? index + kMid + 1 : index + 1;
}

std::optional<BlockWeights> block_weights(const BlockWeightOptions& options) {
    if (options.down_lr_weight.empty() && options.mid_lr_weight.empty() &&
        options.up_lr_weight.empty()) {
        return std::nullopt;
    }
    BlockWeights weights;
    weights.fill(1.0);
    const std::span<double> all(weights);
    fill_side("down_lr_weight", options.down_lr_weight, all.first(kSideBlocks));
    fill_side("up_lr_weight", options.up_lr_weight, all.last(kSideBlocks));
    if (!options.mid_lr_weight.empty()) {
        weights[kMid] = number_of("mid_lr_weight", options.mid_lr_weight);
    }
    for (double& weight : weights) {
        if (weight <= options.block_lr_zero_threshold) weight = 0;
    }
    return weights;
}

ParameterGroups make_parameter_groups(const Network& network, const GroupOptions& options) {
    // Rank of a group in kohya's order: part, then down, up, mid, then plain before plus.
    struct Key {
        NetworkPart part;
        int order;
        int block;
        bool plus;
        bool operator==(const Key&) const = default;
    };
    std::vector<Key> keys;
    std::vector<Key> of_entry;
    for (const ParameterEntry& entry : network.entries()) {
        const bool is_unet = entry.part == NetworkPart::kUNet;
        const double ratio =
            is_unet ? options.loraplus_unet_lr_ratio : options.loraplus_text_encoder_lr_ratio;
        Key key{entry.part, 0, -1, false};
        if (is_unet && options.block_weights) {
            key.block = block_of_module(entry.key);
            key.order = key.block == kMid ? kNumBlocks : key.block;
        }
        key.plus = ratio > 0 && entry.key.ends_with(".lora_up.weight");
        of_entry.push_back(key);
        if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end(), [](const Key& a, const Key& b) {
        return std::tie(a.part, a.order, a.plus) < std::tie(b.part, b.order, b.plus);
    });
    ParameterGroups result;
    for (const Key& key : keys) {
        ParameterGroup group;
        group.part = key.part;
        const bool is_unet = key.part == NetworkPart::kUNet;
        group.name = is_unet ? "unet" : "textencoder";
        if (key.block >= 0) {
            group.name += fmt::format("_block{}", key.block);
            group.scale = (*options.block_weights)[static_cast<size_t>(key.block)];
        }
        if (key.plus) {
            group.name += " plus";
            group.scale *=
                is_unet ? options.loraplus_unet_lr_ratio : options.loraplus_text_encoder_lr_ratio;
        }
        result.groups.push_back(std::move(group));
    }
    for (const Key& key : of_entry) {
        result.of_entry.push_back(
            static_cast<int>(std::find(keys.begin(), keys.end(), key) - keys.begin()));
    }
    return result;
}

}  // namespace lora::train
