// Gradients of linear layers and convolutions. A frozen layer's backward wants its weight, never
// its input: the weight gradient, which alone reads x, is emitted only for trainable weights.
#include "autodiff/rule.h"
#include "base/check.h"

namespace lora::autodiff::rules {

using ir::Node;
using ir::OpKind;
using ir::ValueId;

void linear(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const ValueId dy = context.output_gradient(0);
    const ValueId x = node.inputs[0];
    const ValueId w = node.inputs[1];
    const double alpha = node.attrs.alpha;
    LORA_CHECK(!context.needs(2), "a trainable bias has no gradient rule");
    context.add(3, dy);
    if (context.needs(1)) {
        // w [out,in]: alpha dy^T x. Stored as [in,out]: alpha x^T dy.
        const bool transposed = node.attrs.transpose_weight;
        const std::vector<ValueId> inputs =
            transposed ? std::vector<ValueId>{x, dy} : std::vector<ValueId>{dy, x};
        context.add_weight_gradient(1, OpKind::kLinearBackwardWeight, inputs, {.alpha = alpha});
    }
    if (context.needs(0)) {
        ir::LinearArgs args;
        args.addend = context.take_partial(0);
        args.alpha = alpha;
        args.transpose_weight = !node.attrs.transpose_weight;
        context.add(0, b.linear(dy, w, args));
    }
}

void conv2d(RuleContext& context, const Node& node) {
    ir::Builder& b = context.builder();
    const ValueId dy = context.output_gradient(0);
    const Shape x_shape = b.shape(node.inputs[0]);
    LORA_CHECK(!context.needs(2), "a trainable bias has no gradient rule");
    context.add(3, dy);
    ir::Attributes attrs;
    attrs.stride = node.attrs.stride;
    attrs.pad = node.attrs.pad;
    attrs.kernel = node.attrs.kernel;
    attrs.height = x_shape[2];
    attrs.width = x_shape[3];
    attrs.alpha = node.attrs.alpha;
    if (context.needs(1)) {
        ir::Attributes own = attrs;
        own.layout = b.graph().value(node.inputs[1]).layout;
        context.add_weight_gradient(1, OpKind::kConv2dBackwardWeight, {dy, node.inputs[0]}, own);
    }
    if (context.needs(0)) {
        const ValueId partial = context.take_partial(0);
        context.add(0,
                    b.node(OpKind::kConv2dBackwardInput, {dy, node.inputs[1], partial}, attrs)[0]);
    }
}

}  // namespace lora::autodiff::rules
