// Gradient of attention: scores are recomputed from q, k and the stored log-sum-exp.
#include "autodiff/rule.h"

namespace lora::autodiff::rules {

void attention(RuleContext& context, const ir::Node& node) {
    const std::vector<ir::ValueId> gradients =
        context.builder().node(ir::OpKind::kAttentionBackward,
                               {context.output_gradient(0),
                                node.inputs[0],
                                node.inputs[1],
                                node.inputs[2],
                                node.outputs[0],
                                node.outputs[1]},
                               node.attrs);
    for (int i = 0; i < 3; ++i) context.add(i, gradients[static_cast<size_t>(i)]);
}

}  // namespace lora::autodiff::rules
