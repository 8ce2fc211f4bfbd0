#include "models/vae.h"

#include <fmt/format.h>

#include "nn/attention.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace lora::models {
namespace {

using nn::NetContext;
using nn::ValueId;

constexpr double kNormEps = 1e-6;

ValueId norm_silu(const NetContext& net, const std::string& name, ValueId x) {
    return nn::group_norm(net, name, x, {.eps = kNormEps, .silu = true});
}

ValueId resnet(const NetContext& net, const std::string& name, ValueId x, int64_t out) {
    const bool same = net.builder->shape(x)[1] == out;
    ValueId h = nn::conv3x3(net, name + ".conv1", norm_silu(net, name + ".norm1", x), out);
    h = norm_silu(net, name + ".norm2", h);
    const ValueId skip = same ? x : nn::conv1x1(net, name + ".nin_shortcut", x, out);
    return nn::conv3x3(net, name + ".conv2", h, out, {.addend = skip});
}

// Self-attention with one head over all pixels.
ValueId pixel_attention(const NetContext& net, const std::string& name, ValueId x) {
    ir::Builder& b = *net.builder;
    const Shape image = b.shape(x);
    const ValueId h = b.image_to_tokens(nn::group_norm(net, name + ".norm", x, {.eps = kNormEps}));
    const ValueId q = nn::linear(net, name + ".q", h, image[1]);
    const ValueId k = nn::linear(net, name + ".k", h, image[1]);
    const ValueId v = nn::linear(net, name + ".v", h, image[1]);
    const ValueId mixed = nn::attention(net, q, k, v, {.heads = 1});
    const ValueId y =
        nn::linear(net, name + ".proj_out", mixed, image[1], {.addend = b.image_to_tokens(x)});
    return b.tokens_to_image(y, image[2], image[3]);
}

ValueId middle(const NetContext& net, const std::string& name, ValueId x) {
    const int64_t channels = net.builder->shape(x)[1];
    x = resnet(net, name + ".block_1", x, channels);
    x = pixel_attention(net, name + ".attn_1", x);
    return resnet(net, name + ".block_2", x, channels);
}

DType plain_type(const NetContext& net) {
    return net.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
}

ValueId to_inside(const NetContext& net, ValueId x) {
    return net.builder->reorder(net.builder->cast(x, net.dtype), ir::Layout::kChannelsLast);
}

ValueId to_outside(const NetContext& net, ValueId x) {
    return net.builder->reorder(net.builder->cast(x, plain_type(net)), ir::Layout::kRowMajor);
}

}  // namespace

VaePosterior build_vae_encoder(const NetContext& net, const VaeConfig& config, ValueId image) {
    ir::Builder& b = *net.builder;
    const ir::Builder::Scope scope(b, "vae.encoder");
    const std::string prefix = config.prefix + "encoder.";
    const size_t num_levels = config.channels.size();
    ValueId x = nn::conv3x3(net, prefix + "conv_in", to_inside(net, image), config.channels[0]);
    for (size_t i = 0; i < num_levels; ++i) {
        const std::string level = fmt::format("{}down.{}", prefix, i);
        const ir::Builder::Scope part(b, fmt::format("down.{}", i));
        for (int j = 0; j < 2; ++j) {
            x = resnet(net, fmt::format("{}.block.{}", level, j), x, config.channels[i]);
        }
        if (i + 1 < num_levels) {
            x = nn::conv3x3(net,
                            level + ".downsample.conv",
                            x,
                            config.channels[i],
                            {.stride = 2, .pad = {0, 0, 1, 1}});
        }
    }
    x = norm_silu(net, prefix + "norm_out", middle(net, prefix + "mid", x));
    const int64_t z = config.latent_channels;
    x = nn::conv3x3(net, prefix + "conv_out", x, 2 * z);
    x = nn::conv1x1(net, config.prefix + "quant_conv", x, 2 * z);
    const ValueId moments = to_outside(net, x);
    return {b.slice(moments, 1, 0, z), b.slice(moments, 1, z, 2 * z)};
}

ValueId build_vae_decoder(const NetContext& net, const VaeConfig& config, ValueId latents) {
    ir::Builder& b = *net.builder;
    const ir::Builder::Scope scope(b, "vae.decoder");
    const std::string prefix = config.prefix + "decoder.";
    const ValueId z = b.scale(latents, 1.0 / config.latent_scale);
    ValueId x = nn::conv1x1(
        net, config.prefix + "post_quant_conv", to_inside(net, z), config.latent_channels);
    x = nn::conv3x3(net, prefix + "conv_in", x, config.channels.back());
    x = middle(net, prefix + "mid", x);
    for (size_t i = config.channels.size(); i-- > 0;) {
        const std::string level = fmt::format("{}up.{}", prefix, i);
        const ir::Builder::Scope part(b, fmt::format("up.{}", i));
        for (int j = 0; j < 3; ++j) {
            x = resnet(net, fmt::format("{}.block.{}", level, j), x, config.channels[i]);
        }
        if (i > 0) {
            x = nn::conv3x3(net, level + ".upsample.conv", b.upsample2x(x), config.channels[i]);
        }
    }
    return to_outside(
        net, nn::conv3x3(net, prefix + "conv_out", norm_silu(net, prefix + "norm_out", x), 3));
}

}  // namespace lora::models
