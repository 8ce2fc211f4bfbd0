// Shape rules of the optimizer's operators.
#include "ir/infer.h"

namespace lora::ir::rules {
namespace {

bool is_type(const Value& value, DType dtype, const Shape& shape) {
    return value.dtype == dtype && value.shape == shape;
}

bool is_table(const Value& value, DType dtype, int64_t columns) {
    return value.dtype == dtype && value.shape.num_axes() == 2 && value.shape[1] == columns;
}

DType float_type(const Graph& graph, const Node& node) {
    const DType dtype = input(graph, node, 0).dtype;
    require(dtype == DType::kF32 || dtype == DType::kF64, graph, node, "needs fp32");
    return dtype;
}

// p, g and `num_states` states from input 2 on; then clip and schedule.
void require_operands(const Graph& graph, const Node& node, int num_states) {
    const DType dtype = float_type(graph, node);
    const Value& p = input(graph, node, 0);
    require(p.shape.num_axes() == 1 && is_type(input(graph, node, 1), dtype, p.shape),
            graph,
            node,
            "p and g are flat and equally long");
    for (int i = 2; i < 2 + num_states; ++i) {
        if (!has_input(node, i)) continue;
        const Value& state = input(graph, node, i);
        require(state.shape.num_axes() == 1, graph, node, "a state is flat");
        if (node.op == OpKind::kUpdateStep8bit && i % 2 == 0) {
            require(state.dtype == DType::kU8, graph, node, "needs states of bytes");
        } else {
            require(state.dtype == dtype, graph, node, "needs states of p's type");
        }
    }
    require(is_type(input(graph, node, 2 + num_states), dtype, Shape{}) &&
                is_table(input(graph, node, 3 + num_states), dtype, 4),
            graph,
            node,
            "needs clip [] and schedule [G, 4]");
}

void require_states(const Graph& graph, const Node& node) {
    require_operands(graph, node, 5);
    for (int i = 0; i < 5; ++i) {
        require(has_input(node, 2 + i) == (i < num_update_states(node.attrs.update.rule)),
                graph,
                node,
                "has not as many states as the rule");
    }
    require(is_table(input(graph, node, 9), DType::kI32, 4), graph, node, "needs pieces [P, 4]");
    const bool has_scalars = has_input(node, 10);
    require(!has_scalars || is_type(input(graph, node, 10), input(graph, node, 0).dtype, Shape{8}),
            graph,
            node,
            "needs scalars [8]");
}

std::vector<ValueType> update_globals(const Graph& graph, const Node& node) {
    const DType dtype = float_type(graph, node);
    require(input(graph, node, 0).shape == Shape{8} && is_table(input(graph, node, 1), dtype, 4),
            graph,
            node,
            "needs globals [8] and schedule [G, 4]");
    require(!has_input(node, 2) || is_type(input(graph, node, 2), dtype, Shape{4}),
            graph,
            node,
            "needs sums [4]");
    for (const int i : {3, 4}) {
        require(!has_input(node, i) || is_type(input(graph, node, i), dtype, Shape{}),
                graph,
                node,
                "needs scalars");
    }
    return {{dtype, Shape{8}}};
}

void require_factored_states(const Graph& graph, const Node& node) {
    require_operands(graph, node, 5);
    const bool is_came = node.attrs.update.rule == UpdateRule::kCame;
    require(!is_came || has_input(node, 4), graph, node, "needs a moment");
    for (const int i : {5, 6}) {
        require(has_input(node, i) == is_came, graph, node, "has not the states of its rule");
    }
    require(is_table(input(graph, node, 9), DType::kI32, 7), graph, node, "needs tensors [T, 7]");
}

void require_factors(const Graph& graph, const Node& node) {
    const DType dtype = float_type(graph, node);
    for (int i = 0; i < kMostLimitFactors; ++i) {
        require(!has_input(node, i) || input(graph, node, i).dtype == dtype,
                graph,
                node,
                "factors differ in type");
    }
    require(is_type(input(graph, node, 6), dtype, Shape{}) &&
                is_type(input(graph, node, 7), dtype, Shape{4}),
            graph,
            node,
            "needs sum_squares [] and stats [4]");
}

}  // namespace

std::vector<ValueType> update(const Graph& graph, const Node& node) {
    const Value& first = input(graph, node, 0);
    const DType sum_type = first.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    switch (node.op) {
        case OpKind::kSumSquares: return {{sum_type, Shape{}}};
        case OpKind::kClipCoefficient:
            require(first.shape == Shape{}, graph, node, "needs a scalar");
            return {{sum_type, Shape{}}, {sum_type, Shape{}}};
        case OpKind::kUpdateGlobals: return update_globals(graph, node);
        case OpKind::kUpdateSums: require_states(graph, node); return {{first.dtype, Shape{4}}};
        case OpKind::kUpdateStep: require_states(graph, node); return {};
        case OpKind::kUpdateStep8bit:
            require_operands(graph, node, 4);
            require(is_table(input(graph, node, 8), DType::kI32, 4) &&
                        is_type(input(graph, node, 9), DType::kF32, Shape{2, 256}),
                    graph,
                    node,
                    "needs pieces [P, 4] and maps [2, 256]");
            return {};
        case OpKind::kLimitNorm: require_factors(graph, node); return {};
        default: require_factored_states(graph, node); return {};
    }
}

}  // namespace lora::ir::rules
