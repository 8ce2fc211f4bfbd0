// Shape rules of group norm and layer norm.
#include "ir/infer.h"

namespace lora::ir::rules {
namespace {

DType stats_type(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

void require_scale_and_shift(
    const Graph& graph, const Node& node, int first, int count, int64_t size) {
    for (int i = first; i < first + count; ++i) {
        require(input(graph, node, i).shape == Shape{size},
                graph,
                node,
                "gamma or beta has another size");
    }
}

ValueType like_x(const Graph& graph, const Node& node, int addend_slot) {
    const Value& dy = input(graph, node, 0);
    const Value& x = input(graph, node, 1);
    require(dy.shape == x.shape && dy.layout == x.layout && dy.dtype == x.dtype,
            graph,
            node,
            "dy differs from x");
    if (has_input(node, addend_slot)) {
        const Value& addend = input(graph, node, addend_slot);
        require(addend.shape == x.shape && addend.layout == x.layout && addend.dtype == x.dtype,
                graph,
                node,
                "addend differs from x");
    }
    return {x.dtype, x.shape, x.layout};
}

}  // namespace

std::vector<ValueType> norm(const Graph& graph, const Node& node) {
    const Value& first = input(graph, node, 0);
    switch (node.op) {
        case OpKind::kGroupNorm: {
            require(first.shape.num_axes() == 4 && first.layout == Layout::kChannelsLast &&
                        node.attrs.groups > 0 && first.shape[1] % node.attrs.groups == 0,
                    graph,
                    node,
                    "needs a channels-last image whose channels split into groups");
            require_scale_and_shift(graph, node, 1, 2, first.shape[1]);
            return {{first.dtype, first.shape, first.layout},
                    {stats_type(first.dtype), Shape{first.shape[0], node.attrs.groups, 2}}};
        }
        case OpKind::kGroupNormBackward:
            require_scale_and_shift(graph, node, 2, 2, first.shape[1]);
            return {like_x(graph, node, 5)};
        case OpKind::kLayerNorm:
            require(first.layout == Layout::kRowMajor && first.shape.num_axes() >= 1,
                    graph,
                    node,
                    "needs row-major x");
            require_scale_and_shift(graph, node, 1, 2, first.shape[-1]);
            return {
                {first.dtype, first.shape, first.layout},
                {stats_type(first.dtype), Shape{first.shape.num_elements() / first.shape[-1], 2}}};
        case OpKind::kDoraScale: {
            const Value& magnitude = input(graph, node, 1);
            const DType dtype = stats_type(first.dtype);
            require(first.layout == Layout::kRowMajor && first.shape.num_axes() >= 2 &&
                        magnitude.shape == Shape{first.shape[0]} && magnitude.dtype == dtype,
                    graph,
                    node,
                    "needs rows and a fp32 magnitude for each");
            return {{dtype, magnitude.shape}, {dtype, magnitude.shape}};
        }
        case OpKind::kDoraScaleBackward: {
            const Value& v = input(graph, node, 1);
            require(v.shape.num_axes() >= 2 && first.shape == Shape{v.shape[0]} &&
                        input(graph, node, 2).shape == first.shape &&
                        input(graph, node, 3).shape == first.shape,
                    graph,
                    node,
                    "needs one number a row");
            return {{v.dtype, v.shape, v.layout}, {first.dtype, first.shape}};
        }
        default:
            require_scale_and_shift(graph, node, 2, 1, first.shape[-1]);
            return {like_x(graph, node, 4)};
    }
}

}  // namespace lora::ir::rules
