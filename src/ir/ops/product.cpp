// Shape rules of linear layers and convolutions.
#include "ir/infer.h"

namespace lora::ir::rules {
namespace {

// Of a weight's gradient: fp32, or what the node asks for.
DType gradient_type(DType dtype, const Node& node) {
    return dtype == DType::kF64 ? DType::kF64 : node.attrs.dtype;
}

void require_addend(const Graph& graph, const Node& node, int slot, const ValueType& dst) {
    if (!has_input(node, slot)) return;
    const Value& addend = input(graph, node, slot);
    require(addend.shape == dst.shape && addend.layout == dst.layout && addend.dtype == dst.dtype,
            graph,
            node,
            "addend differs from the result");
}

ValueType linear(const Graph& graph, const Node& node) {
    const Value& x = input(graph, node, 0);
    const Value& w = input(graph, node, 1);
    require(x.layout == Layout::kRowMajor && x.shape.num_axes() >= 1 && w.shape.num_axes() == 2,
            graph,
            node,
            "needs row-major x and a matrix");
    const int in_axis = node.attrs.transpose_weight ? 0 : 1;
    require(x.shape[-1] == w.shape[in_axis] && x.dtype == w.dtype,
            graph,
            node,
            "x and weight do not fit");
    const int64_t out = w.shape[1 - in_axis];
    if (has_input(node, 2)) {
        require(input(graph, node, 2).shape == Shape{out}, graph, node, "bias has another size");
    }
    std::vector<int64_t> sizes = x.shape.sizes();
    sizes.back() = out;
    ValueType dst{x.dtype, Shape(sizes), Layout::kRowMajor};
    require_addend(graph, node, 3, dst);
    if (has_input(node, 4)) {
        const Value& x2 = input(graph, node, 4);
        const Value& w2 = input(graph, node, 5);
        require(has_input(node, 5) && w2.shape.num_axes() == 2 && x2.dtype == x.dtype &&
                    w2.dtype == x.dtype && x2.shape[-1] == w2.shape[in_axis] &&
                    w2.shape[1 - in_axis] == out &&
                    x2.shape.num_elements() / x2.shape[-1] == x.shape.num_elements() / x.shape[-1],
                graph,
                node,
                "the second product does not fit the first");
    }
    return dst;
}

ValueType linear_backward_weight(const Graph& graph, const Node& node) {
    const Value& dy = input(graph, node, 0);
    const Value& x = input(graph, node, 1);
    require(dy.dtype == x.dtype && dy.layout == Layout::kRowMajor &&
                x.layout == Layout::kRowMajor &&
                dy.shape.num_elements() / dy.shape[-1] == x.shape.num_elements() / x.shape[-1],
            graph,
            node,
            "rows differ");
    return {gradient_type(x.dtype, node), Shape{dy.shape[-1], x.shape[-1]}, Layout::kRowMajor};
}

bool is_image(const Value& value) {
    return value.shape.num_axes() == 4 && value.layout == Layout::kChannelsLast;
}

ValueType conv2d(const Graph& graph, const Node& node) {
    const Value& x = input(graph, node, 0);
    const Value& w = input(graph, node, 1);
    const Attributes& attrs = node.attrs;
    require(is_image(x) && w.shape.num_axes() == 4 && x.dtype == w.dtype,
            graph,
            node,
            "needs a channels-last image and a kernel [O, I, kh, kw] of its type");
    require(x.shape[1] == w.shape[1], graph, node, "channels differ");
    if (has_input(node, 2)) {
        require(
            input(graph, node, 2).shape == Shape{w.shape[0]}, graph, node, "bias has another size");
    }
    const int64_t height = x.shape[2] + attrs.pad[0] + attrs.pad[2] - w.shape[2];
    const int64_t width = x.shape[3] + attrs.pad[1] + attrs.pad[3] - w.shape[3];
    require(
        height >= 0 && width >= 0 && attrs.stride >= 1, graph, node, "image smaller than kernel");
    ValueType dst{
        x.dtype,
        Shape{x.shape[0], w.shape[0], height / attrs.stride + 1, width / attrs.stride + 1},
        Layout::kChannelsLast};
    require_addend(graph, node, 3, dst);
    return dst;
}

ValueType conv2d_backward_input(const Graph& graph, const Node& node) {
    const Value& dy = input(graph, node, 0);
    const Value& w = input(graph, node, 1);
    require(is_image(dy) && dy.shape[1] == w.shape[0] && dy.dtype == w.dtype,
            graph,
            node,
            "gradient and kernel do not fit");
    ValueType dst{dy.dtype,
                  Shape{dy.shape[0], w.shape[1], node.attrs.height, node.attrs.width},
                  Layout::kChannelsLast};
    require_addend(graph, node, 2, dst);
    return dst;
}

ValueType conv2d_backward_weight(const Graph& graph, const Node& node) {
    const Value& dy = input(graph, node, 0);
    const Value& x = input(graph, node, 1);
    require(is_image(dy) && is_image(x) && dy.shape[0] == x.shape[0] && dy.dtype == x.dtype,
            graph,
            node,
            "gradient and image do not fit");
    return {gradient_type(x.dtype, node),
            Shape{dy.shape[1], x.shape[1], node.attrs.kernel[0], node.attrs.kernel[1]},
            node.attrs.layout};
}

}  // namespace

std::vector<ValueType> product(const Graph& graph, const Node& node) {
    switch (node.op) {
        case OpKind::kLinear: return {linear(graph, node)};
        case OpKind::kLinearBackwardWeight: return {linear_backward_weight(graph, node)};
        case OpKind::kConv2d: return {conv2d(graph, node)};
        case OpKind::kConv2dBackwardInput: return {conv2d_backward_input(graph, node)};
        default: return {conv2d_backward_weight(graph, node)};
    }
}

}  // namespace lora::ir::rules
