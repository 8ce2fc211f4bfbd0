// Shape rules of embeddings and of weights kept in 8 bits.
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
    if (node.op == OpKind::kDequantize) {
        const Value& scale = input(graph, node, 1);
        require(first.dtype == DType::kU8 && first.layout == Layout::kRowMajor &&
                    first.shape.num_axes() >= 1 && scale.dtype == DType::kF32 &&
                    scale.shape == Shape{first.shape[0]},
                graph,
                node,
                "needs U8 rows and one fp32 scale a row");
        return {{node.attrs.dtype, first.shape}};
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
