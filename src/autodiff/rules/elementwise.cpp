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

void scale(RuleContext& context, const Node& node) {
    context.add(0, context.builder().scale(context.output_gradient(0), node.attrs.alpha));
}

void add_channel(RuleContext& context, const Node& /*node*/) {
    const ValueId dy = context.output_gradient(0);
    context.add(0, dy);
    if (context.needs(1)) context.add(1, context.builder().node(OpKind::kSumSpatial, {dy})[0]);
}

}  // namespace lora::autodiff::rules
