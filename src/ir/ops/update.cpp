// Shape rules of the optimizer's operators.
#include "ir/infer.h"

namespace lora::ir::rules {

std::vector<ValueType> update(const Graph& graph, const Node& node) {
    const Value& first = input(graph, node, 0);
    if (node.op == OpKind::kSumSquares) {
        return {{DType::kF32, Shape{}}};
    }
    if (node.op == OpKind::kClipCoefficient) {
        require(first.shape == Shape{}, graph, node, "needs a scalar");
        return {{DType::kF32, Shape{}}, {DType::kF32, Shape{}}};
    }
    for (int i = 1; i < 4; ++i) {
        require(input(graph, node, i).shape == first.shape &&
                    input(graph, node, i).dtype == DType::kF32,
                graph,
                node,
                "p, g, m, v differ");
    }
    require(input(graph, node, 4).shape == Shape{} && input(graph, node, 5).shape == Shape{3},
            graph,
            node,
            "needs clip [] and schedule [3]");
    return {};
}

}  // namespace lora::ir::rules
