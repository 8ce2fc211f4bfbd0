// Shape rules of views and movement.
#include "ir/infer.h"

namespace lora::ir::rules {
namespace {

Shape with_axis(const Shape& shape, int axis, int64_t size) {
    std::vector<int64_t> sizes = shape.sizes();
    sizes[static_cast<size_t>(axis < 0 ? axis + shape.num_axes() : axis)] = size;
    return Shape(sizes);
}

ValueType view(const Graph& graph, const Node& node) {
    const Value& x = input(graph, node, 0);
    if (node.op == OpKind::kReshape) {
        require(node.attrs.shape.num_elements() == x.shape.num_elements(),
                graph,
                node,
                "other number of elements");
        require(x.layout == Layout::kRowMajor, graph, node, "only row-major values are reshaped");
        return {x.dtype, node.attrs.shape, Layout::kRowMajor};
    }
    if (node.op == OpKind::kImageToTokens) {
        require(x.shape.num_axes() == 4 && x.layout == Layout::kChannelsLast,
                graph,
                node,
                "needs a channels-last image");
        return {x.dtype, Shape{x.shape[0], x.shape[2] * x.shape[3], x.shape[1]}, Layout::kRowMajor};
    }
    require(x.shape.num_axes() == 3 && x.layout == Layout::kRowMajor &&
                x.shape[1] == node.attrs.height * node.attrs.width,
            graph,
            node,
            "needs tokens [N, H*W, C]");
    return {x.dtype,
            Shape{x.shape[0], x.shape[2], node.attrs.height, node.attrs.width},
            Layout::kChannelsLast};
}

ValueType concat(const Graph& graph, const Node& node) {
    const Value& a = input(graph, node, 0);
    const Value& b = input(graph, node, 1);
    const int axis = node.attrs.axis;
    require(a.dtype == b.dtype && a.layout == b.layout && a.shape.num_axes() == b.shape.num_axes(),
            graph,
            node,
            "inputs differ in type, layout or number of axes");
    require(with_axis(a.shape, axis, 0) == with_axis(b.shape, axis, 0),
            graph,
            node,
            "inputs differ beside the joined axis");
    return {a.dtype, with_axis(a.shape, axis, a.shape[axis] + b.shape[axis]), a.layout};
}

}  // namespace

std::vector<ValueType> movement(const Graph& graph, const Node& node) {
    const Value& x = input(graph, node, 0);
    const Attributes& attrs = node.attrs;
    switch (node.op) {
        case OpKind::kReorder:
            require(x.shape.num_axes() == 4, graph, node, "needs four axes");
            return {{x.dtype, x.shape, attrs.layout}};
        case OpKind::kCast: return {{attrs.dtype, x.shape, x.layout}};
        case OpKind::kConcat: return {concat(graph, node)};
        case OpKind::kSlice:
            require(
                0 <= attrs.begin && attrs.begin <= attrs.end && attrs.end <= x.shape[attrs.axis],
                graph,
                node,
                "range outside the axis");
            return {{x.dtype, with_axis(x.shape, attrs.axis, attrs.end - attrs.begin), x.layout}};
        case OpKind::kPad:
            require(attrs.begin >= 0 && attrs.end >= 0, graph, node, "negative padding");
            return {{x.dtype,
                     with_axis(x.shape, attrs.axis, x.shape[attrs.axis] + attrs.begin + attrs.end),
                     x.layout}};
        case OpKind::kSwapAxes:
            require(x.shape.num_axes() == 4 && x.layout == Layout::kRowMajor,
                    graph,
                    node,
                    "needs four axes, row-major");
            return {{x.dtype, Shape{x.shape[0], x.shape[2], x.shape[1], x.shape[3]}}};
        case OpKind::kUpsample2x:
            require(x.shape.num_axes() == 4, graph, node, "needs an image");
            return {
                {x.dtype, Shape{x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3]}, x.layout}};
        case OpKind::kUpsample2xBackward:
            require(x.shape.num_axes() == 4 && x.shape[2] % 2 == 0 && x.shape[3] % 2 == 0,
                    graph,
                    node,
                    "needs an image with even sides");
            return {
                {x.dtype, Shape{x.shape[0], x.shape[1], x.shape[2] / 2, x.shape[3] / 2}, x.layout}};
        default: return {view(graph, node)};
    }
}

}  // namespace lora::ir::rules
