#include "models/clip_text.h"

#include <fmt/format.h>

#include "base/error.h"
#include "nn/attention.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace lora::models {
namespace {

using nn::NetContext;
using nn::ValueId;

ValueId encoder_layer(const NetContext& net,
                      const ClipTextConfig& config,
                      int64_t index,
                      ValueId x) {
    const TextNames& names = text_names(config.layout);
    const std::string layer = fmt::format("{}{}{}.", config.prefix, names.layers, index);
    const auto name = [&layer](std::string_view part) { return layer + std::string(part); };
    const ir::Builder::Scope scope(*net.builder, fmt::format("layers.{}", index));
    const int64_t width = config.width;
    const ValueId h = nn::layer_norm(net, name(names.norm1), x);
    const ValueId q = nn::linear(net, name(names.q), h, width);
    const ValueId k = nn::linear(net, name(names.k), h, width);
    const ValueId v = nn::linear(net, name(names.v), h, width);
    const ValueId mixed = nn::attention(net, q, k, v, {.heads = config.heads, .causal = true});
    x = nn::linear(net, name(names.out), mixed, width, {.addend = x});
    const ValueId hidden =
        nn::linear(net, name(names.fc1), nn::layer_norm(net, name(names.norm2), x), config.hidden);
    const auto gelu = config.exact_gelu ? ir::Activation::kGelu : ir::Activation::kQuickGelu;
    return nn::linear(
        net, name(names.fc2), net.builder->activation(hidden, gelu), width, {.addend = x});
}

}  // namespace

ValueId build_clip_text(const NetContext& net,
                        const ClipTextConfig& config,
                        ValueId ids,
                        int64_t clip_skip) {
    ir::Builder& b = *net.builder;
    const int64_t num_run = config.layers - (clip_skip > 0 ? clip_skip - 1 : 0);
    if (clip_skip < 0 || num_run < 1) {
        throw Error(
            ErrorCode::kConfig,
            fmt::format(
                "clip_skip {} does not fit a text encoder of {} layers", clip_skip, config.layers))
            .with_hint("1 is the last layer, 2 leaves the last one out");
    }
    const ir::Builder::Scope scope(b, "text");
    const TextNames& names = text_names(config.layout);
    const auto name = [&config](std::string_view part) {
        return config.prefix + std::string(part);
    };
    const ValueId tokens =
        nn::weight(net, name(names.tokens), Shape{config.vocabulary, config.width});
    const ValueId positions =
        nn::weight(net, name(names.positions), Shape{config.positions, config.width});
    const int64_t used = b.shape(ids)[1];
    ValueId x = b.add(b.embedding(ids, tokens),
                      used < config.positions ? b.slice(positions, 0, 0, used) : positions);
    for (int64_t i = 0; i < num_run; ++i) x = encoder_layer(net, config, i, x);
    return nn::layer_norm(net, name(names.final_norm), x);
}

ValueId stack_chunks(const NetContext& net, ValueId states, int64_t num_chunks) {
    const Shape shape = net.builder->shape(states);  // [N * C, 77, D]
    return net.builder->reshape(states,
                                Shape{shape[0] / num_chunks, shape[1] * num_chunks, shape[2]});
}

ValueId join_chunks(const NetContext& net, ValueId states, int64_t num_chunks) {
    if (num_chunks == 1) return states;
    ir::Builder& b = *net.builder;
    const ir::Builder::Scope scope(b, "text.join");
    const int64_t window = b.shape(states)[1];
    const ValueId stacked = stack_chunks(net, states, num_chunks);
    ValueId joined;
    for (int64_t i = 0; i < num_chunks; ++i) {
        const int64_t begin = i * window + (i == 0 ? 0 : 1);
        const int64_t end = (i + 1) * window - (i == num_chunks - 1 ? 0 : 1);
        const ValueId part = b.slice(stacked, 1, begin, end);
        joined = i == 0 ? part : b.concat(joined, part, 1);
    }
    return joined;
}

}  // namespace lora::models
