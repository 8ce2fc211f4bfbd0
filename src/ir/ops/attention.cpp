// Shape rules of attention.
#include "ir/infer.h"

namespace lora::ir::rules {

std::vector<ValueType> attention(const Graph& graph, const Node& node) {
    const int first = node.op == OpKind::kAttention ? 0 : 1;
    const Value& q = input(graph, node, first);
    const Value& k = input(graph, node, first + 1);
    const Value& v = input(graph, node, first + 2);
    require(q.shape.num_axes() == 3 && k.shape.num_axes() == 3 && k.shape == v.shape &&
                q.shape[0] == k.shape[0] && q.shape[2] == k.shape[2],
            graph,
            node,
            "q, k, v must be [N, T, C] with the same N and C");
    require(q.dtype == k.dtype && k.dtype == v.dtype, graph, node, "q, k, v differ in type");
    require(node.attrs.heads > 0 && q.shape[2] % node.attrs.heads == 0,
            graph,
            node,
            "heads do not divide the channels");
    if (node.op == OpKind::kAttention) {
        const DType lse = q.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
        return {{q.dtype, q.shape}, {lse, Shape{q.shape[0], node.attrs.heads, q.shape[1]}}};
    }
    require(input(graph, node, 0).shape == q.shape && input(graph, node, 4).shape == q.shape,
            graph,
            node,
            "d_o and o must be like q");
    return {{q.dtype, q.shape}, {k.dtype, k.shape}, {v.dtype, v.shape}};
}

}  // namespace lora::ir::rules
