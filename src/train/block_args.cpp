#include "train/block_args.h"

#include <string_view>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"

namespace lora::train {
namespace {

// The numbers between commas.
template <typename T>
std::vector<T> numbers(const std::string& key, std::string_view text) {
    std::vector<T> result;
    for (const std::string_view piece : split(text, ',')) {
        const std::string_view word = trimmed(piece, " ");
        const std::optional<T> value = parse_number<T>(word);
        if (!value || !(*value >= 0)) {
            throw Error(
                ErrorCode::kConfig,
                fmt::format("network_args {}: \"{}\" is not a number of 0 or more", key, word));
        }
        result.push_back(*value);
    }
    return result;
}

template <typename T>
T number(const std::string& key, const std::string& text) {
    const std::vector<T> all = numbers<T>(key, text);
    if (all.size() != 1) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("network_args {}: \"{}\" is not one number", key, text));
    }
    return all[0];
}

template <typename T>
std::array<T, kNumBlocks> by_block(const std::string& key, const std::string& text) {
    const std::vector<T> all = numbers<T>(key, text);
    if (all.size() != kNumBlocks) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("network_args {}: {} numbers instead of 25", key, all.size()))
            .with_hint("12 for the blocks going down, 1 for the middle, 12 for those going up");
    }
    std::array<T, kNumBlocks> result{};
    std::copy(all.begin(), all.end(), result.begin());
    return result;
}

// What is still text while the pairs are read.
struct Reading {
    BlockArgs args;
    BlockWeightOptions weights;
    std::optional<double> loraplus;
    std::optional<double> loraplus_unet;
    std::optional<double> loraplus_text_encoder;
};

struct Row {
    std::string_view key;
    void (*read)(Reading&, const std::string& key, const std::string& value);
};
using Text = const std::string&;

constexpr Row kRows[] = {
    {"block_dims", [](Reading& r, Text k, Text v) { r.args.block_dims = by_block<int64_t>(k, v); }},
    {"block_alphas",
     [](Reading& r, Text k, Text v) { r.args.block_alphas = by_block<double>(k, v); }},
    {"conv_block_dims",
     [](Reading& r, Text k, Text v) { r.args.conv_block_dims = by_block<int64_t>(k, v); }},
    {"conv_block_alphas",
     [](Reading& r, Text k, Text v) { r.args.conv_block_alphas = by_block<double>(k, v); }},
    {"down_lr_weight", [](Reading& r, Text, Text v) { r.weights.down_lr_weight = v; }},
    {"mid_lr_weight", [](Reading& r, Text, Text v) { r.weights.mid_lr_weight = v; }},
    {"up_lr_weight", [](Reading& r, Text, Text v) { r.weights.up_lr_weight = v; }},
    {"block_lr_zero_threshold",
     [](Reading& r, Text k, Text v) { r.weights.block_lr_zero_threshold = number<double>(k, v); }},
    {"loraplus_lr_ratio", [](Reading& r, Text k, Text v) { r.loraplus = number<double>(k, v); }},
    {"loraplus_unet_lr_ratio",
     [](Reading& r, Text k, Text v) { r.loraplus_unet = number<double>(k, v); }},
    {"loraplus_text_encoder_lr_ratio",
     [](Reading& r, Text k, Text v) { r.loraplus_text_encoder = number<double>(k, v); }},
};

}  // namespace

bool BlockArgs::is_removed(std::string_view lora_name) const {
    const int block = block_of_module(lora_name);
    return block >= 0 && groups.block_weights &&
           (*groups.block_weights)[static_cast<size_t>(block)] == 0;
}

std::vector<std::string_view> block_arg_names() {
    std::vector<std::string_view> names;
    for (const Row& row : kRows) names.push_back(row.key);
    return names;
}

BlockArgs read_block_args(const std::vector<std::pair<std::string, std::string>>& args) {
    Reading reading;
    for (const auto& [key, value] : args) {
        for (const Row& row : kRows) {
            if (row.key == key) row.read(reading, key, value);
        }
    }
    GroupOptions& groups = reading.args.groups;
    const double ratio = reading.loraplus.value_or(0);
    groups.loraplus_unet_lr_ratio = reading.loraplus_unet.value_or(ratio);
    groups.loraplus_text_encoder_lr_ratio = reading.loraplus_text_encoder.value_or(ratio);
    groups.block_weights = block_weights(reading.weights);
    return reading.args;
}

}  // namespace lora::train
