// Gradients of the factors of an elementwise product. Neither of the two products is kept: each is
// made again where the gradient of the other's factors needs it.
#include "autodiff/rule.h"

namespace lora::autodiff::rules {

using ir::Node;
using ir::OpKind;
using ir::ValueId;

void hadamard(RuleContext& context, const Node& node) {
    const ValueId d = context.output_gradient(0);
    if (context.needs(4)) context.add(4, context.builder().reorder(d, ir::Layout::kRowMajor));
    for (const int own : {0, 2}) {
        const auto first = static_cast<size_t>(own);
        const ValueId a = node.inputs[2 - first];  // of the other product
        const ValueId b = node.inputs[3 - first];
        ir::Attributes attrs;
        attrs.alpha = node.attrs.alpha;
        context.add_weight_gradient(
            own, OpKind::kHadamardBackward, {d, a, b, node.inputs[first + 1]}, attrs);
        attrs.transpose_weight = true;
        context.add_weight_gradient(
            own + 1, OpKind::kHadamardBackward, {d, a, b, node.inputs[first]}, attrs);
    }
}

}  // namespace lora::autodiff::rules
