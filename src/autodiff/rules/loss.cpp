// Gradient of the loss, where every backward pass starts.
#include "autodiff/rule.h"

namespace lora::autodiff::rules {

void weighted_loss(RuleContext& context, const ir::Node& node) {
    // differentiate() has put the loss scale into alpha.
    context.add(0,
                context.builder().node(ir::OpKind::kWeightedLossBackward,
                                       node.inputs,
                                       {.alpha = node.attrs.alpha, .loss = node.attrs.loss})[0]);
}

}  // namespace lora::autodiff::rules
