#include "models/unet.h"

#include <fmt/format.h>

#include "nn/attention.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/timestep_embedding.h"

namespace lora::models {
namespace {

using nn::NetContext;
using nn::ValueId;

class UNetWriter {
public:
    UNetWriter(const NetContext& net, const UNetConfig& config, const UNetInputs& inputs)
        : net_(net), config_(config), builder_(*net.builder) {
        const ValueId time = nn::timestep_embedding(net_,
                                                    config_.prefix + "time_embed",
                                                    inputs.timesteps,
                                                    {config_.channels[0], config_.time_size()});
        time_ = builder_.activation(time, ir::Activation::kSilu);
        context_ = builder_.cast(inputs.context, net_.dtype);
    }

    // Returns what every input block left for the output blocks.
    std::vector<ValueId> down(ValueId latents) {
        const std::string prefix = config_.prefix + "input_blocks.";
        std::vector<ValueId> skips;
        skips.push_back(nn::conv3x3(net_, prefix + "0.0", latents, config_.channels[0]));
        for (size_t level = 0; level < config_.channels.size(); ++level) {
            for (int i = 0; i < 2; ++i) {
                const ir::Builder::Scope scope(builder_,
                                               fmt::format("input_blocks.{}", skips.size()));
                const std::string name = fmt::format("{}{}", prefix, skips.size());
                skips.push_back(block(name, skips.back(), level));
            }
            if (level + 1 < config_.channels.size()) {
                const std::string name = fmt::format("{}{}.0.op", prefix, skips.size());
                skips.push_back(
                    nn::conv3x3(net_, name, skips.back(), config_.channels[level], {.stride = 2}));
            }
        }
        return skips;
    }

    ValueId middle(ValueId x) {
        const ir::Builder::Scope scope(builder_, "middle_block");
        const std::string name = config_.prefix + "middle_block";
        x = resnet(name + ".0", x, config_.channels.back());
        return resnet(name + ".2", transformer(name + ".1", x), config_.channels.back());
    }

    ValueId up(ValueId x, std::vector<ValueId> skips) {
        int64_t index = 0;
        for (size_t level = config_.channels.size(); level-- > 0;) {
            for (int i = 0; i < 3; ++i, ++index) {
                const ir::Builder::Scope scope(builder_, fmt::format("output_blocks.{}", index));
                const std::string name = fmt::format("{}output_blocks.{}", config_.prefix, index);
                x = block(name, builder_.concat(x, skips.back(), 1), level);
                skips.pop_back();
                if (i == 2 && level > 0) {
                    const int part = config_.has_attention[level] ? 2 : 1;
                    x = upsample(fmt::format("{}.{}.conv", name, part), x, skips.back());
                }
            }
        }
        return x;
    }

private:
    ValueId block(const std::string& name, ValueId x, size_t level) {
        x = resnet(name + ".0", x, config_.channels[level]);
        return config_.has_attention[level] ? transformer(name + ".1", x) : x;
    }

    ValueId resnet(const std::string& name, ValueId x, int64_t out) {
        const bool same = builder_.shape(x)[1] == out;
        ValueId h = nn::group_norm(net_, name + ".in_layers.0", x, {.silu = true});
        h = nn::conv3x3(net_, name + ".in_layers.2", h, out);
        h = builder_.add_channel(h, nn::linear(net_, name + ".emb_layers.1", time_, out));
        h = nn::group_norm(net_, name + ".out_layers.0", h, {.silu = true});
        const ValueId skip = same ? x : nn::conv1x1(net_, name + ".skip_connection", x, out);
        return nn::conv3x3(net_, name + ".out_layers.3", h, out, {.addend = skip});
    }

    // x [N, C, H, W] -> the same shape; tokens [N, H*W, C] inside.
    ValueId transformer(const std::string& name, ValueId x) {
        const Shape image = builder_.shape(x);
        const int64_t width = image[1];
        const std::string inner = name + ".transformer_blocks.0.";
        const ValueId normed = nn::group_norm(net_, name + ".norm", x, {.eps = 1e-6});
        ValueId h = nn::linear(net_, name + ".proj_in", builder_.image_to_tokens(normed), width);
        ValueId y = nn::layer_norm(net_, inner + "norm1", h);
        h = attend(inner + "attn1", y, y, h);
        y = nn::layer_norm(net_, inner + "norm2", h);
        h = attend(inner + "attn2", y, context_, h);
        y = nn::layer_norm(net_, inner + "norm3", h);
        y = builder_.geglu(nn::linear(net_, inner + "ff.net.0.proj", y, 8 * width));
        h = nn::linear(net_, inner + "ff.net.2", y, width, {.addend = h});
        const ValueId out =
            nn::linear(net_, name + ".proj_out", h, width, {.addend = builder_.image_to_tokens(x)});
        return builder_.tokens_to_image(out, image[2], image[3]);
    }

    // residual + projection of the attention from `tokens` to `source`.
    ValueId attend(const std::string& name, ValueId tokens, ValueId source, ValueId residual) {
        const int64_t width = builder_.shape(tokens)[2];
        const ir::Builder::Scope scope(builder_, name.substr(name.rfind('.') + 1));
        const ValueId q = nn::linear(net_, name + ".to_q", tokens, width, {.bias = false});
        const ValueId k = nn::linear(net_, name + ".to_k", source, width, {.bias = false});
        const ValueId v = nn::linear(net_, name + ".to_v", source, width, {.bias = false});
        const ValueId mixed = nn::attention(net_, q, k, v, {.heads = config_.heads_of(width)});
        return nn::linear(net_, name + ".to_out.0", mixed, width, {.addend = residual});
    }

    // Twice the size, or one pixel less where the skip had an odd size.
    ValueId upsample(const std::string& name, ValueId x, ValueId skip) {
        const Shape target = builder_.shape(skip);
        ValueId wide = builder_.upsample2x(x);
        wide = builder_.slice(wide, 2, 0, target[2]);
        wide = builder_.slice(wide, 3, 0, target[3]);
        return nn::conv3x3(net_, name, wide, builder_.shape(x)[1]);
    }

    const NetContext& net_;
    const UNetConfig& config_;
    ir::Builder& builder_;
    ValueId time_;     // silu of the embedding, [N, time_size]
    ValueId context_;  // [N, T, context_size]
};

}  // namespace

ValueId build_unet(const NetContext& net, const UNetConfig& config, const UNetInputs& inputs) {
    ir::Builder& b = *net.builder;
    const ir::Builder::Scope scope(b, "unet");
    const DType plain = net.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    UNetWriter writer(net, config, inputs);
    const ValueId latents = b.reorder(b.cast(inputs.latents, net.dtype), ir::Layout::kChannelsLast);
    const std::vector<ValueId> skips = writer.down(latents);
    ValueId x = writer.up(writer.middle(skips.back()), skips);
    x = nn::group_norm(net, config.prefix + "out.0", x, {.silu = true});
    x = nn::conv3x3(net, config.prefix + "out.2", x, config.out_channels);
    return b.reorder(b.cast(x, plain), ir::Layout::kRowMajor);
}

}  // namespace lora::models
