// Shape rules of the loss.
#include "ir/infer.h"

namespace lora::ir::rules {

std::vector<ValueType> loss(const Graph& graph, const Node& node) {
    const Value& prediction = input(graph, node, 0);
    const Value& target = input(graph, node, 1);
    const Value& weights = input(graph, node, 2);
    require(prediction.shape.num_axes() >= 1 && prediction.shape == target.shape &&
                prediction.layout == target.layout && weights.shape == Shape{prediction.shape[0]},
            graph,
            node,
            "needs prediction and target [N, ..] alike and weights [N]");
    if (node.op == OpKind::kWeightedMseBackward) {
        return {{prediction.dtype, prediction.shape, prediction.layout}};
    }
    const DType dtype = prediction.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    return {{dtype, Shape{}}, {dtype, Shape{prediction.shape[0]}}};
}

}  // namespace lora::ir::rules
