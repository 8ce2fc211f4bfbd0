// Shape rules of embeddings.
#include "ir/infer.h"

namespace lora::ir::rules {

std::vector<ValueType> source(const Graph& graph, const Node& node) {
    const Value& first = input(graph, node, 0);
    if (node.op == OpKind::kTimestepEmbedding) {
        require(first.shape.num_axes() == 1 && node.attrs.size > 0 && node.attrs.size % 2 == 0,
                graph,
                node,
                "needs timesteps [N] and an even size");
        return {{node.attrs.dtype, Shape{first.shape[0], node.attrs.size}}};
    }
    const Value& table = input(graph, node, 1);
    require(first.dtype == DType::kI32 && table.shape.num_axes() == 2,
            graph,
            node,
            "needs I32 ids and a table [V, D]");
    std::vector<int64_t> sizes = first.shape.sizes();
    sizes.push_back(table.shape[1]);
    return {{table.dtype, Shape(sizes)}};
}

}  // namespace lora::ir::rules
