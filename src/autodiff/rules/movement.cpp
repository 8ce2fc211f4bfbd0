// Gradients of views and movement.
#include "autodiff/rule.h"

namespace lora::autodiff::rules {

using ir::Node;
using ir::OpKind;
using ir::ValueId;

void reshape(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    context.add(0, b.reshape(context.output_gradient(0), b.shape(node.inputs[0])));
}

void image_to_tokens(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const Shape shape = b.shape(node.inputs[0]);
    context.add(0, b.tokens_to_image(context.output_gradient(0), shape[2], shape[3]));
}

void tokens_to_image(RuleContext& context, const Node& /*node*/) {
    context.add(0, context.builder().image_to_tokens(context.output_gradient(0)));
}

void reorder(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    context.add(0, b.reorder(context.output_gradient(0), b.graph().value(node.inputs[0]).layout));
}

void cast(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    context.add(0, b.cast(context.output_gradient(0), b.dtype(node.inputs[0])));
}

void concat(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const ValueId dy = context.output_gradient(0);
    const int axis = node.attrs.axis;
    const int64_t first = b.shape(node.inputs[0])[axis];
    const int64_t total = b.shape(dy)[axis];
    if (context.needs(0)) context.add(0, b.slice(dy, axis, 0, first));
    if (context.needs(1)) context.add(1, b.slice(dy, axis, first, total));
}

void slice(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const int64_t size = b.shape(node.inputs[0])[node.attrs.axis];
    context.add(
        0,
        b.pad(
            context.output_gradient(0), node.attrs.axis, node.attrs.begin, size - node.attrs.end));
}

void pad(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const int64_t size = b.shape(node.inputs[0])[node.attrs.axis];
    context.add(0,
                b.slice(context.output_gradient(0),
                        node.attrs.axis,
                        node.attrs.begin,
                        node.attrs.begin + size));
}

void swap_axes(RuleContext& context, const Node& /*node*/) {
    context.add(0, context.builder().swap_axes(context.output_gradient(0)));
}

void upsample2x(RuleContext& context, const Node& /*node*/) {
    context.add(
        0, context.builder().node(OpKind::kUpsample2xBackward, {context.output_gradient(0)})[0]);
}

}  // namespace lora::autodiff::rules
