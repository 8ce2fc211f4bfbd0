// Gradient of the loss, where every backward pass starts.
#include "autodiff/rule.h"

namespace lora::autodiff::rules {

void weighted_mse(RuleContext& context, const ir::Node& node) {
    // differentiate() has put the loss scale into alpha.
    context.add(0,
                context.builder().node(ir::OpKind::kWeightedMseBackward,
                                       {node.inputs[0], node.inputs[1], node.inputs[2]},
                                       {.alpha = node.attrs.alpha})[0]);
}

}  // namespace lora::autodiff::rules
