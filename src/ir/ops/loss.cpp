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
    if (has_input(node, 3)) {
        const Value& mask = input(graph, node, 3);
        const int64_t rows = prediction.shape[0];
        require(mask.shape.num_axes() >= 1 && mask.shape[0] == rows && rows > 0 &&
                    mask.shape.num_elements() > 0 &&
                    prediction.shape.num_elements() % mask.shape.num_elements() == 0 &&
                    (prediction.layout == Layout::kRowMajor ||
                     (mask.shape == prediction.shape && mask.layout == prediction.layout)),
                graph,
                node,
                "needs a mask that fills each row a whole number of times");
    }
    const bool has_c =
        node.attrs.loss == LossKind::kHuber || node.attrs.loss == LossKind::kSmoothL1;
    require(has_input(node, 4) == has_c &&
                (!has_c || input(graph, node, 4).shape == Shape{prediction.shape[0]}),
            graph,
            node,
            "needs c [N] for huber and smooth_l1 alone");
    if (node.op == OpKind::kWeightedLossBackward) {
        return {{prediction.dtype, prediction.shape, prediction.layout}};
    }
    const DType dtype = prediction.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    return {{dtype, Shape{}}, {dtype, Shape{prediction.shape[0]}}};
}

}  // namespace lora::ir::rules
