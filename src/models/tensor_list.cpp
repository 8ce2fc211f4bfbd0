#include "models/tensor_list.h"

#include <array>
#include <utility>

namespace lora::models {
namespace {

bool is_pointwise_kernel(std::string_view name) {
    constexpr std::array<std::string_view, 8> kEnds{".proj_in.weight",
                                                    ".proj_out.weight",
                                                    ".skip_connection.weight",
                                                    ".nin_shortcut.weight",
                                                    ".attn_1.q.weight",
                                                    ".attn_1.k.weight",
                                                    ".attn_1.v.weight",
                                                    "quant_conv.weight"};
    for (const std::string_view end : kEnds) {
        if (name.ends_with(end)) return true;
    }
    return false;
}

bool is_projection(std::string_view name) {
    return name.ends_with(".proj_in.weight") || name.ends_with(".proj_out.weight");
}

// `linear_projection`: the transformers' projections are matrices, not 1x1 kernels.
std::vector<TensorSpec> weights_of(const ir::Graph& graph, bool linear_projection = false) {
    std::vector<TensorSpec> specs;
    for (const ir::Value& value : graph.values()) {
        if (value.kind != ir::ValueKind::kWeight) continue;
        StoredTensor stored = stored_tensor(value.name);
        if (stored.part > 0) continue;
        std::vector<int64_t> sizes = value.shape.sizes();
        sizes.front() *= stored.num_parts;
        if (is_pointwise_kernel(value.name) && !(linear_projection && is_projection(value.name))) {
            sizes = {sizes[0], sizes[1], 1, 1};
        }
        specs.push_back({std::move(stored.name), Shape(sizes)});
    }
    return specs;
}

Shape without_trailing_ones(const Shape& shape) {
    std::vector<int64_t> sizes = shape.sizes();
    while (sizes.size() > 2 && sizes.back() == 1) sizes.pop_back();
    return Shape(sizes);
}

}  // namespace

std::vector<TensorSpec> unet_tensors(const UNetConfig& config) {
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{&b};
    static_cast<void>(
        build_unet(net,
                   config,
                   {.latents = b.input("latents", DType::kF32, Shape{1, config.in_channels, 8, 8}),
                    .timesteps = b.input("timesteps", DType::kF32, Shape{1}),
                    .context = b.input("context", DType::kF32, Shape{1, 1, config.context_size})}));
    return weights_of(graph, config.linear_projection);
}

std::vector<TensorSpec> vae_tensors(const VaeConfig& config) {
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{&b};
    const int64_t side = config.px_per_latent();
    static_cast<void>(
        build_vae_encoder(net, config, b.input("image", DType::kF32, Shape{1, 3, side, side})));
    static_cast<void>(build_vae_decoder(
        net, config, b.input("latents", DType::kF32, Shape{1, config.latent_channels, 1, 1})));
    return weights_of(graph);
}

std::vector<TensorSpec> clip_text_tensors(const ClipTextConfig& config) {
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{&b};
    static_cast<void>(
        build_clip_text(net, config, b.input("ids", DType::kI32, Shape{1, config.positions})));
    return weights_of(graph);
}

std::vector<TensorSpec> model_tensors(const ModelInfo& info) {
    std::vector<TensorSpec> all = unet_tensors(info.unet);
    for (TensorSpec& spec : vae_tensors(info.vae)) all.push_back(std::move(spec));
    for (TensorSpec& spec : clip_text_tensors(info.text)) all.push_back(std::move(spec));
    return all;
}

bool same_shape(const Shape& a, const Shape& b) {
    return without_trailing_ones(a) == without_trailing_ones(b);
}

}  // namespace lora::models
