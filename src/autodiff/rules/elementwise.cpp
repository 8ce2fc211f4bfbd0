// Gradients of elementwise operators.
#include "autodiff/rule.h"
#include "base/check.h"

namespace lora::autodiff::rules {

using ir::Node;
using ir::OpKind;
using ir::ValueId;

void activation(RuleContext& context, const Node& node) {
    context.add(0,
                context.builder().node(OpKind::kActivationBackward,
                                       {context.output_gradient(0), node.inputs[0]},
                                       node.attrs)[0]);
}

void geglu(RuleContext& context, const Node& node) {
    context.add(0,
                context.builder().node(OpKind::kGegluBackward,
                                       {context.output_gradient(0), node.inputs[0]})[0]);
}

void add(RuleContext& context, const Node& node) {
    const ValueId dy = context.output_gradient(0);
    context.add(0, dy);
    if (!context.needs(1)) return;
    const ir::Builder& b = context.builder();
    LORA_CHECK(b.shape(node.inputs[1]) == b.shape(node.inputs[0]),
               "a broadcast addend that needs a gradient has no rule");
    context.add(1, dy);
}

void multiply(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const ValueId dy = context.output_gradient(0);
    if (context.needs(0)) context.add(0, b.multiply(dy, node.inputs[1]));
    if (!context.needs(1)) return;
    const ValueId products = b.multiply(dy, node.inputs[0]);
    const Shape factor = b.shape(node.inputs[1]);
    if (factor == b.shape(products)) return context.add(1, products);
    // A factor that repeats gets the sum over its repetitions: rows, as if pixels.
    const int64_t size = factor.num_elements();
    const int64_t rows = b.shape(products).num_elements() / size;
    const ValueId pixels = b.tokens_to_image(b.reshape(products, Shape{1, rows, size}), rows, 1);
    context.add(1, b.reshape(b.node(OpKind::kSumSpatial, {pixels})[0], factor));
}

void scale(RuleContext& context, const Node& node) {
    context.add(0, context.builder().scale(context.output_gradient(0), node.attrs.alpha));
}

void dropout(RuleContext& context, const Node& node) {
    context.add(0,
                context.builder().node(
                    OpKind::kDropout, {context.output_gradient(0), node.inputs[1]}, node.attrs)[0]);
}

void add_channel(RuleContext& context, const Node& /*node*/) {
    const ValueId dy = context.output_gradient(0);
    context.add(0, dy);
    if (context.needs(1)) context.add(1, context.builder().node(OpKind::kSumSpatial, {dy})[0]);
}

}  // namespace lora::autodiff::rules
