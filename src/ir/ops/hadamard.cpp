// Shape rules of elementwise products of matrices of low rank.
#include "ir/infer.h"

namespace lora::ir::rules {
namespace {

bool is_matrix(const Value& value) {
    return value.shape.num_axes() == 2 && value.layout == Layout::kRowMajor;
}

// A matrix of that size, or a filter of as many elements.
bool fits(const Shape& shape, const Shape& matrix) {
    if (shape.num_axes() == 2) return shape == matrix;
    return shape.num_axes() == 4 && shape[0] == matrix[0] &&
           shape.num_elements() == matrix.num_elements();
}

ValueType forward(const Graph& graph, const Node& node) {
    const Value& a1 = input(graph, node, 0);
    const Value& b1 = input(graph, node, 1);
    const Value& a2 = input(graph, node, 2);
    const Value& b2 = input(graph, node, 3);
    for (const Value* factor : {&a1, &b1, &a2, &b2}) {
        require(is_matrix(*factor) && factor->dtype == a1.dtype,
                graph,
                node,
                "needs four matrices of one type");
    }
    require(a1.shape[1] == b1.shape[0] && a2.shape[1] == b2.shape[0] &&
                a1.shape[0] == a2.shape[0] && b1.shape[1] == b2.shape[1],
            graph,
            node,
            "the two products differ in size");
    const Shape matrix{a1.shape[0], b1.shape[1]};
    if (!has_input(node, 4)) return {a1.dtype, matrix, Layout::kRowMajor};
    const Value& addend = input(graph, node, 4);
    require(addend.dtype == a1.dtype && addend.layout == Layout::kRowMajor &&
                fits(addend.shape, matrix),
            graph,
            node,
            "addend differs from the result");
    const bool filter = addend.shape.num_axes() == 4;
    return {a1.dtype, addend.shape, filter ? Layout::kChannelsLast : Layout::kRowMajor};
}

ValueType backward(const Graph& graph, const Node& node) {
    const Value& d = input(graph, node, 0);
    const Value& a = input(graph, node, 1);
    const Value& b = input(graph, node, 2);
    const Value& partner = input(graph, node, 3);
    const bool filter = d.shape.num_axes() == 4 && d.layout == Layout::kChannelsLast;
    require((filter || is_matrix(d)) && is_matrix(a) && is_matrix(b) && is_matrix(partner) &&
                d.dtype == a.dtype && a.dtype == b.dtype && b.dtype == partner.dtype,
            graph,
            node,
            "needs matrices of one type");
    const int shared = node.attrs.transpose_weight ? 0 : 1;  // of d, with the partner
    const Shape matrix{d.shape[0], d.shape.num_elements() / d.shape[0]};
    require(a.shape[0] == matrix[0] && b.shape[1] == matrix[1] && a.shape[1] == b.shape[0] &&
                partner.shape[shared] == matrix[shared],
            graph,
            node,
            "gradient and factors do not fit");
    const int64_t rank = partner.shape[1 - shared];
    const Shape shape =
        node.attrs.transpose_weight ? Shape{rank, matrix[1]} : Shape{matrix[0], rank};
    return {d.dtype == DType::kF64 ? DType::kF64 : DType::kF32, shape, Layout::kRowMajor};
}

}  // namespace

std::vector<ValueType> hadamard(const Graph& graph, const Node& node) {
    return {node.op == OpKind::kHadamard ? forward(graph, node) : backward(graph, node)};
}

}  // namespace lora::ir::rules
