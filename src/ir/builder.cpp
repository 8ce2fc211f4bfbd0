#include "ir/builder.h"

#include <cmath>

#include "base/check.h"

namespace lora::ir {

Builder::Scope::Scope(Builder& builder, std::string_view name)
    : builder_(&builder), previous_size_(builder.scope_.size()) {
    if (!builder.scope_.empty()) builder.scope_ += '.';
    builder.scope_ += name;
}

Builder::Scope::~Scope() { builder_->scope_.resize(previous_size_); }

ValueId Builder::input(std::string name, DType dtype, Shape shape) {
    return graph_->add_external(ValueKind::kInput, std::move(name), dtype, std::move(shape));
}

ValueId Builder::weight(const std::string& name, DType dtype, const Shape& shape) {
    if (const std::optional<ValueId> known = graph_->find(name)) {
        const Value& value = graph_->value(*known);
        LORA_CHECK(value.kind == ValueKind::kWeight && value.dtype == dtype && value.shape == shape,
                   "weight asked for in two forms: " + name);
        return *known;
    }
    return graph_->add_external(ValueKind::kWeight, name, dtype, shape);
}

ValueId Builder::param(std::string name, Shape shape, DType dtype) {
    return graph_->add_external(ValueKind::kParam, std::move(name), dtype, std::move(shape));
}

ValueId Builder::state(std::string name, Shape shape, DType dtype) {
    return graph_->add_external(ValueKind::kState, std::move(name), dtype, std::move(shape));
}

std::vector<ValueId> Builder::node(OpKind op,
                                   std::vector<ValueId> inputs,
                                   Attributes attrs,
                                   ValueId dst) {
    Node item;
    item.op = op;
    item.inputs = std::move(inputs);
    item.attrs = std::move(attrs);
    item.scope = scope_;
    const int32_t index = graph_->add_node(std::move(item), dst);
    return graph_->nodes()[static_cast<size_t>(index)].outputs;
}

ValueId Builder::one(OpKind op, std::vector<ValueId> inputs, Attributes attrs) {
    return node(op, std::move(inputs), std::move(attrs))[0];
}

ValueId Builder::reshape(ValueId x, Shape shape) {
    if (this->shape(x) == shape) return x;
    return one(OpKind::kReshape, {x}, {.shape = std::move(shape)});
}

ValueId Builder::image_to_tokens(ValueId x) { return one(OpKind::kImageToTokens, {x}); }

ValueId Builder::tokens_to_image(ValueId x, int64_t height, int64_t width) {
    return one(OpKind::kTokensToImage, {x}, {.height = height, .width = width});
}

ValueId Builder::reorder(ValueId x, Layout layout) {
    if (graph_->value(x).layout == layout) return x;
    return one(OpKind::kReorder, {x}, {.layout = layout});
}

ValueId Builder::cast(ValueId x, DType dtype) {
    if (this->dtype(x) == dtype) return x;
    return one(OpKind::kCast, {x}, {.dtype = dtype});
}

ValueId Builder::concat(ValueId a, ValueId b, int axis) {
    return one(OpKind::kConcat, {a, b}, {.axis = axis});
}

ValueId Builder::slice(ValueId x, int axis, int64_t begin, int64_t end) {
    if (begin == 0 && end == shape(x)[axis]) return x;
    return one(OpKind::kSlice, {x}, {.axis = axis, .begin = begin, .end = end});
}

ValueId Builder::pad(ValueId x, int axis, int64_t before, int64_t after) {
    if (before == 0 && after == 0) return x;
    return one(OpKind::kPad, {x}, {.axis = axis, .begin = before, .end = after});
}

ValueId Builder::swap_axes(ValueId x) {
    const Shape from = shape(x);
    if (from[1] == 1 || from[2] == 1) return reshape(x, Shape{from[0], from[2], from[1], from[3]});
    return one(OpKind::kSwapAxes, {x});
}

ValueId Builder::upsample2x(ValueId x) { return one(OpKind::kUpsample2x, {x}); }

ValueId Builder::linear(ValueId x, ValueId w, const LinearArgs& args) {
    return one(OpKind::kLinear,
               {x, w, args.bias, args.addend, kNoValue, kNoValue},
               {.alpha = args.alpha, .transpose_weight = args.transpose_weight});
}

ValueId Builder::conv2d(ValueId x, ValueId w, const ConvArgs& args) {
    const Shape& kernel = shape(w);
    return one(OpKind::kConv2d,
               {x, w, args.bias, args.addend},
               {.stride = args.stride, .pad = args.pad, .kernel = {kernel[2], kernel[3]}});
}

ValueId Builder::group_norm(ValueId x, const NormArgs& args) {
    return one(OpKind::kGroupNorm,
               {x, args.gamma, args.beta},
               {.activation = args.activation, .groups = args.groups, .eps = args.eps});
}

ValueId Builder::layer_norm(ValueId x, const NormArgs& args) {
    return one(OpKind::kLayerNorm, {x, args.gamma, args.beta}, {.eps = args.eps});
}

AttentionResult Builder::attention(ValueId q, ValueId k, ValueId v, const AttentionArgs& args) {
    const int64_t head_size = shape(q)[2] / args.heads;
    const double scale =
        args.scale != 0 ? args.scale : 1.0 / std::sqrt(static_cast<double>(head_size));
    const std::vector<ValueId> outputs =
        node(OpKind::kAttention,
             {q, k, v},
             {.heads = args.heads, .alpha = scale, .causal = args.causal});
    return {outputs[0], outputs[1]};
}

ValueId Builder::activation(ValueId x, Activation activation) {
    return one(OpKind::kActivation, {x}, {.activation = activation});
}

ValueId Builder::geglu(ValueId x) { return one(OpKind::kGeglu, {x}); }

ValueId Builder::add(ValueId a, ValueId b) { return one(OpKind::kAdd, {a, b}); }

ValueId Builder::hadamard(const LowRank& first,
                          const LowRank& second,
                          double alpha,
                          ValueId addend) {
    return one(OpKind::kHadamard, {first.a, first.b, second.a, second.b, addend}, {.alpha = alpha});
}

ValueId Builder::multiply(ValueId a, ValueId b) { return one(OpKind::kMultiply, {a, b}); }

ValueId Builder::scale(ValueId x, double alpha) {
    return one(OpKind::kScale, {x}, {.alpha = alpha});
}

ValueId Builder::add_channel(ValueId x, ValueId e) { return one(OpKind::kAddChannel, {x, e}); }

ValueId Builder::mix_rows(ValueId x, ValueId y, ValueId a, ValueId b) {
    return one(OpKind::kMixRows, {x, y, a, b});
}

ValueId Builder::dropout(ValueId x, ValueId key, const DropoutArgs& args) {
    return one(OpKind::kDropout,
               {x, key},
               {.size = args.number,
                .alpha = args.scale,
                .probability = args.probability,
                .draw_axes = args.axes});
}

ValueId Builder::dora_scale(ValueId v, ValueId magnitude, double eps) {
    return one(OpKind::kDoraScale, {v, magnitude}, {.eps = eps});
}

ValueId Builder::embedding(ValueId ids, ValueId table) {
    return one(OpKind::kEmbedding, {ids, table});
}

ValueId Builder::dequantize(ValueId q, ValueId scale, DType dtype) {
    return one(OpKind::kDequantize, {q, scale}, {.dtype = dtype});
}

ValueId Builder::timestep_embedding(ValueId t, int64_t size, DType dtype) {
    return one(OpKind::kTimestepEmbedding, {t}, {.dtype = dtype, .size = size});
}

Builder::Loss Builder::weighted_loss(ValueId prediction,
                                     ValueId target,
                                     ValueId weights,
                                     const LossArgs& args) {
    const std::vector<ValueId> outputs = node(OpKind::kWeightedLoss,
                                              {prediction, target, weights, args.mask, args.c},
                                              {.loss = args.kind});
    return {outputs[0], outputs[1]};
}

Builder::Loss Builder::weighted_mse(ValueId prediction, ValueId target, ValueId weights) {
    return weighted_loss(prediction, target, weights, {});
}

}  // namespace lora::ir
