#include "models/keymap/kohya.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "models/tensor_list.h"

namespace lora::models {
namespace {

std::string dots_to_underscores(std::string text) {
    std::replace(text.begin(), text.end(), '.', '_');
    return text;
}

class TargetLister {
public:
    TargetLister(const ModelInfo& info, const LoraTargetOptions& options)
        : info_(info), options_(options) {}

    std::vector<LoraTarget> run() {
        if (options_.text_encoder && info_.text.layers > 0) text_encoder();
        if (options_.unet) unet();
        return std::move(targets_);
    }

private:
    void collect_shapes(const std::vector<TensorSpec>& specs) {
        for (const TensorSpec& spec : specs) shapes_.emplace(spec.name, spec.shape);
    }

    // `module` is the path that kohya's name is made of, `layer` the tensor's name without .weight.
    LoraTarget& add(std::string_view prefix, const std::string& module, const std::string& layer) {
        LoraTarget target;
        target.lora_name = std::string(prefix) + dots_to_underscores(module);
        target.weight_name = layer + ".weight";
        const auto found = shapes_.find(target.weight_name);
        LORA_CHECK(found != shapes_.end(), "no such layer: " + layer);
        target.weight_shape = found->second;
        if (target.weight_shape.num_axes() == 4) {
            target.kind = target.weight_shape[2] == 1 ? LayerKind::kConv1x1 : LayerKind::kConv3x3;
        }
        targets_.push_back(std::move(target));
        return targets_.back();
    }

    void text_encoder() {
        const ClipTextConfig& text = info_.text;
        const TextNames& from = text_names(text.layout);
        const TextNames& kohya = text_names(TextLayout::kTransformers);
        using Name = std::string_view TextNames::*;
        constexpr std::array<Name, 6> kLayers{&TextNames::k,
                                              &TextNames::v,
                                              &TextNames::q,
                                              &TextNames::out,
                                              &TextNames::fc1,
                                              &TextNames::fc2};
        for (int64_t i = 0; i < text.layers; ++i) {
            for (const Name layer : kLayers) {
                const bool expands = layer == &TextNames::fc1;
                const bool shrinks = layer == &TextNames::fc2;
                if (options_.attention_only && (expands || shrinks)) continue;
                const std::string own =
                    fmt::format("{}{}{}.{}", text.prefix, from.layers, i, from.*layer);
                shapes_.emplace(
                    own + ".weight",
                    Shape{expands ? text.hidden : text.width, shrinks ? text.hidden : text.width});
                const std::string module =
                    fmt::format("text_model.{}{}.{}", kohya.layers, i, kohya.*layer);
                add("lora_te_", module, own).is_text_encoder = true;
            }
        }
    }

    void unet() {
        collect_shapes(unet_tensors(info_.unet));
        const int64_t num_levels = static_cast<int64_t>(info_.unet.channels.size());
        for (int64_t level = 0; level < num_levels; ++level) down_block(level, num_levels);
        for (int64_t level = 0; level < num_levels; ++level) up_block(level, num_levels);
        const std::string middle = info_.unet.prefix + "middle_block";
        block_ = static_cast<int>(3 * num_levels);
        transformer("mid_block.attentions.0", middle + ".1");
        if (options_.conv) {
            resnet("mid_block.resnets.0", middle + ".0");
            resnet("mid_block.resnets.1", middle + ".2");
        }
        if (options_.ends) ends();
    }

    void ends() {
        block_ = 0;
        conv("time_embedding.linear_1", info_.unet.prefix + "time_embed.0");
        conv("time_embedding.linear_2", info_.unet.prefix + "time_embed.2");
        conv("conv_in", info_.unet.prefix + "input_blocks.0.0");
        conv("conv_out", info_.unet.prefix + "out.2");
    }

    void down_block(int64_t level, int64_t num_levels) {
        const int64_t first = 1 + 3 * level;  // the model file's number of the first input block
        const std::string blocks = info_.unet.prefix + "input_blocks.";
        const std::string module = fmt::format("down_blocks.{}", level);
        for (int64_t i = 0; i < 2 && info_.unet.has_attention[static_cast<size_t>(level)]; ++i) {
            block_ = static_cast<int>(first + i);
            transformer(fmt::format("{}.attentions.{}", module, i),
                        fmt::format("{}{}.1", blocks, first + i));
        }
        if (!options_.conv) return;
        for (int64_t i = 0; i < 2; ++i) {
            block_ = static_cast<int>(first + i);
            resnet(fmt::format("{}.resnets.{}", module, i),
                   fmt::format("{}{}.0", blocks, first + i));
        }
        if (level + 1 == num_levels) return;
        block_ = static_cast<int>(first + 2);
        conv(module + ".downsamplers.0.conv", fmt::format("{}{}.0.op", blocks, first + 2)).stride =
            2;
    }

    void up_block(int64_t index, int64_t num_levels) {
        const int64_t first = 3 * index;
        const auto level = static_cast<size_t>(num_levels - 1 - index);
        const bool attention = info_.unet.has_attention[level];
        const std::string blocks = info_.unet.prefix + "output_blocks.";
        const std::string module = fmt::format("up_blocks.{}", index);
        const int64_t base = 3 * num_levels + 1 + first;
        for (int64_t i = 0; i < 3 && attention; ++i) {
            block_ = static_cast<int>(base + i);
            transformer(fmt::format("{}.attentions.{}", module, i),
                        fmt::format("{}{}.1", blocks, first + i));
        }
        if (!options_.conv) return;
        for (int64_t i = 0; i < 3; ++i) {
            block_ = static_cast<int>(base + i);
            resnet(fmt::format("{}.resnets.{}", module, i),
                   fmt::format("{}{}.0", blocks, first + i));
        }
        if (index + 1 == num_levels) return;
        block_ = static_cast<int>(base + 2);
        conv(module + ".upsamplers.0.conv",
             fmt::format("{}{}.{}.conv", blocks, first + 2, attention ? 2 : 1));
    }

    void unet_layer(const std::string& module, const std::string& layer) {
        add("lora_unet_", module, layer).block_index = block_;
    }

    // sd-scripts sees a 1x1 convolution here, even where the file of an SD 2.x model has a matrix.
    void projection(const std::string& module, const std::string& layer) {
        unet_layer(module, layer);
        LoraTarget& target = targets_.back();
        target.kind = LayerKind::kConv1x1;
        target.weight_shape = Shape{target.weight_shape[0], target.weight_shape[1], 1, 1};
    }

    LoraTarget& conv(const std::string& module, const std::string& layer) {
        LoraTarget& target = add("lora_unet_", module, layer);
        target.block_index = block_;
        target.needs_conv_dim = true;
        return target;
    }

    void transformer(const std::string& module, const std::string& layer) {
        if (!options_.transformers) return;
        constexpr std::array<std::string_view, 10> kLayers{"attn1.to_q",
                                                           "attn1.to_k",
                                                           "attn1.to_v",
                                                           "attn1.to_out.0",
                                                           "ff.net.0.proj",
                                                           "ff.net.2",
                                                           "attn2.to_q",
                                                           "attn2.to_k",
                                                           "attn2.to_v",
                                                           "attn2.to_out.0"};
        const bool all = !options_.attention_only;
        if (all) projection(module + ".proj_in", layer + ".proj_in");
        for (const std::string_view part : kLayers) {
            if (!all && !part.starts_with("attn")) continue;
            const std::string path = fmt::format(".transformer_blocks.0.{}", part);
            unet_layer(module + path, layer + path);
        }
        if (all) projection(module + ".proj_out", layer + ".proj_out");
    }

    void resnet(const std::string& module, const std::string& layer) {
        conv(module + ".conv1", layer + ".in_layers.2");
        conv(module + ".time_emb_proj", layer + ".emb_layers.1");
        conv(module + ".conv2", layer + ".out_layers.3");
        if (shapes_.contains(layer + ".skip_connection.weight")) {
            conv(module + ".conv_shortcut", layer + ".skip_connection");
        }
    }

    const ModelInfo& info_;
    const LoraTargetOptions& options_;
    std::unordered_map<std::string, Shape> shapes_;
    std::vector<LoraTarget> targets_;
    int block_ = -1;
};

}  // namespace

std::vector<LoraTarget> list_lora_targets(const ModelInfo& info, const LoraTargetOptions& options) {
    return TargetLister(info, options).run();
}

}  // namespace lora::models
