// Shape rules of elementwise operators.
#include "ir/infer.h"

namespace lora::ir::rules {
namespace {

bool is_trailing_part(const Shape& part, const Shape& whole) {
    if (part.num_axes() > whole.num_axes()) return false;
    for (int i = 1; i <= part.num_axes(); ++i) {
        if (part[-i] != whole[-i]) return false;
    }
    return true;
}

Shape last_axis(const Shape& shape, int64_t size) {
    std::vector<int64_t> sizes = shape.sizes();
    sizes.back() = size;
    return Shape(sizes);
}

}  // namespace

std::vector<ValueType> elementwise(const Graph& graph, const Node& node) {
    const Value& a = input(graph, node, 0);
    switch (node.op) {
        case OpKind::kActivation:
        case OpKind::kScale: return {{a.dtype, a.shape, a.layout}};
        case OpKind::kActivationBackward: {
            const Value& x = input(graph, node, 1);
            require(a.shape == x.shape && a.layout == x.layout && a.dtype == x.dtype,
                    graph,
                    node,
                    "dy differs from x");
            return {{a.dtype, a.shape, a.layout}};
        }
        case OpKind::kGeglu:
            require(a.layout == Layout::kRowMajor && a.shape[-1] % 2 == 0,
                    graph,
                    node,
                    "needs an even last axis");
            return {{a.dtype, last_axis(a.shape, a.shape[-1] / 2)}};
        case OpKind::kGegluBackward: {
            const Value& x = input(graph, node, 1);
            require(x.shape[-1] == 2 * a.shape[-1] && x.dtype == a.dtype,
                    graph,
                    node,
                    "dy does not fit x");
            return {{x.dtype, x.shape}};
        }
        case OpKind::kAdd:
        case OpKind::kMultiply: {
            const Value& b = input(graph, node, 1);
            const bool same = a.shape == b.shape && a.layout == b.layout;
            require(a.dtype == b.dtype &&
                        (same || (a.layout == Layout::kRowMajor && b.layout == Layout::kRowMajor &&
                                  is_trailing_part(b.shape, a.shape))),
                    graph,
                    node,
                    "b is neither like a nor its trailing part");
            return {{a.dtype, a.shape, a.layout}};
        }
        case OpKind::kAddChannel: {
            const Value& e = input(graph, node, 1);
            require(a.shape.num_axes() == 4 && e.shape == Shape{a.shape[0], a.shape[1]} &&
                        a.dtype == e.dtype,
                    graph,
                    node,
                    "needs an image and [N, C]");
            return {{a.dtype, a.shape, a.layout}};
        }
        case OpKind::kSumSpatial:
            require(a.shape.num_axes() == 4, graph, node, "needs an image");
            return {{a.dtype, Shape{a.shape[0], a.shape[1]}}};
        case OpKind::kDropout: {
            const Value& key = input(graph, node, 1);
            require(a.layout == Layout::kRowMajor && a.shape.num_axes() >= 1 &&
                        key.dtype == DType::kI32 && key.shape == Shape{4} &&
                        node.attrs.probability >= 0 && node.attrs.probability < 1,
                    graph,
                    node,
                    "needs row-major x, a key [4] and a probability below 1");
            return {{a.dtype, a.shape, a.layout}};
        }
        default: {  // kMixRows
            const Value& y = input(graph, node, 1);
            require(a.shape == y.shape && a.layout == y.layout && a.dtype == y.dtype,
                    graph,
                    node,
                    "x differs from y");
            for (int i = 2; i < 4; ++i) {
                require(input(graph, node, i).shape == Shape{a.shape[0]},
                        graph,
                        node,
                        "needs one factor a row");
            }
            return {{a.dtype, a.shape, a.layout}};
        }
    }
}

}  // namespace lora::ir::rules
