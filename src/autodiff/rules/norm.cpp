// Gradients of norms with frozen scale and shift: only the input's. And of DoRA's scale, whose
// magnitude is trained.
#include "autodiff/rule.h"

namespace lora::autodiff::rules {

using ir::Node;
using ir::OpKind;
using ir::ValueId;

void group_norm(RuleContext& context, const Node& node) {
    const ValueId dy = context.output_gradient(0);
    const ValueId partial = context.take_partial(0);
    context.add(0,
                context.builder().node(
                    OpKind::kGroupNormBackward,
                    {dy, node.inputs[0], node.inputs[1], node.inputs[2], node.outputs[1], partial},
                    node.attrs)[0]);
}

void layer_norm(RuleContext& context, const Node& node) {
    const ValueId dy = context.output_gradient(0);
    const ValueId partial = context.take_partial(0);
    context.add(
        0,
        context.builder().node(OpKind::kLayerNormBackward,
                               {dy, node.inputs[0], node.inputs[1], node.outputs[1], partial},
                               node.attrs)[0]);
}

void dora_scale(RuleContext& context, const Node& node) {
    const std::vector<ValueId> gradients = context.builder().node(
        OpKind::kDoraScaleBackward,
        {context.output_gradient(0), node.inputs[0], node.inputs[1], node.outputs[1]},
        node.attrs);
    context.add(0, gradients[0]);
    context.add(1, gradients[1]);
}

}  // namespace lora::autodiff::rules
