#include "ir/cost.h"

#include <algorithm>

namespace lora::ir {
namespace {

double elements(const Graph& graph, ValueId id) {
    return static_cast<double>(graph.value(id).shape.num_elements());
}

double last_dim(const Graph& graph, ValueId id) {
    return static_cast<double>(graph.value(id).shape[-1]);
}

// Elements that share one index along an axis.
double elements_per(const Shape& shape, int axis) {
    const int64_t count = shape.num_elements() / shape[axis];
    return static_cast<double>(count);
}

}  // namespace

// Every output number needs one pass over a filter.
double num_flops(const Graph& graph, const Node& node) {
    const auto& in = node.inputs;
    switch (node.op) {
        case OpKind::kLinear: {
            double depth = last_dim(graph, in[0]);
            if (in[4].valid()) depth += last_dim(graph, in[4]);
            return 2 * elements(graph, node.outputs[0]) * depth;
        }
        case OpKind::kLinearBackwardWeight:
            return 2 * elements(graph, in[1]) * last_dim(graph, in[0]);
        case OpKind::kConv2d: {
            const Shape& w = graph.value(in[1]).shape;
            return 2 * elements(graph, node.outputs[0]) * elements_per(w, 0);
        }
        case OpKind::kConv2dBackwardInput: {
            const Shape& w = graph.value(in[1]).shape;
            return 2 * elements(graph, in[0]) * elements_per(w, 0);
        }
        case OpKind::kConv2dBackwardWeight: {
            const Shape& dy = graph.value(in[0]).shape;
            return 2 * elements(graph, node.outputs[0]) * elements_per(dy, 1);
        }
        case OpKind::kHadamard:
            return 2 * elements(graph, node.outputs[0]) *
                   (last_dim(graph, in[0]) + last_dim(graph, in[2]));
        case OpKind::kHadamardBackward: {
            const double rank =
                elements(graph, in[3]) /
                static_cast<double>(graph.value(in[3]).shape[node.attrs.transpose_weight ? 0 : 1]);
            return 2 * elements(graph, in[0]) * (last_dim(graph, in[1]) + rank);
        }
        case OpKind::kAttention:
            return 4 * elements(graph, in[0]) * static_cast<double>(graph.value(in[1]).shape[1]);
        case OpKind::kAttentionBackward:
            return 10 * elements(graph, in[1]) * static_cast<double>(graph.value(in[2]).shape[1]);
        default: return 0;
    }
}

double num_flops(const Graph& graph) {
    double sum = 0;
    for (const Node& node : graph.nodes()) sum += num_flops(graph, node);
    return sum;
}

double relative_time(const Graph& graph) {
    // Operations a byte: cards and processors lie between 50 and 300 with 16-bit operands.
    constexpr double kBalance = 150;
    double sum = 0;
    for (const Node& node : graph.nodes()) {
        if (op_info(node.op).is_view) continue;
        sum += std::max(num_flops(graph, node), kBalance * num_bytes(graph, node));
    }
    return sum;
}

double num_bytes(const Graph& graph, const Node& node) {
    double sum = 0;
    for (const auto* ids : {&node.inputs, &node.outputs}) {
        for (const ValueId id : *ids) {
            if (id.valid()) sum += static_cast<double>(graph.value(id).num_bytes());
        }
    }
    return sum;
}

}  // namespace lora::ir
