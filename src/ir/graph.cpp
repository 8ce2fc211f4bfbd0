#include "ir/graph.h"

#include <numeric>

#include <fmt/format.h>

#include "base/check.h"
#include "ir/infer.h"

namespace lora::ir {

size_t Value::num_bytes() const {
    return narrow<size_t>(shape.num_elements()) * dtype_bytes(dtype);
}

ValueId Graph::add_external(
    ValueKind kind, std::string name, DType dtype, Shape shape, Layout layout) {
    LORA_CHECK(kind != ValueKind::kTemp && !name.empty());
    LORA_CHECK(!names_.contains(name), "value name taken: " + name);
    const ValueId id{narrow<int32_t>(values_.size())};
    names_.emplace(name, id);
    values_.push_back({kind, dtype, layout, std::move(shape), std::move(name), -1, false});
    return id;
}

int32_t Graph::add_node(Node node, ValueId dst) {
    const OpInfo& info = op_info(node.op);
    LORA_CHECK(narrow<int>(node.inputs.size()) == info.num_inputs, std::string(info.name));
    for (int i = 0; i < info.num_inputs; ++i) {
        const bool optional = ((info.optional_inputs >> i) & 1U) != 0;
        LORA_CHECK(node.inputs[static_cast<size_t>(i)].valid() || optional,
                   fmt::format("{} lacks input {}", info.name, i));
    }
    const std::vector<ValueType> types = infer_outputs(*this, node);
    LORA_CHECK(narrow<int>(types.size()) == info.num_outputs);
    const int32_t index = narrow<int32_t>(nodes_.size());
    node.outputs.clear();
    for (size_t i = 0; i < types.size(); ++i) {
        const ValueType& type = types[i];
        if (i == 0 && dst.valid()) {
            Value& target = value(dst);
            LORA_CHECK(target.kind == ValueKind::kState && target.producer < 0 &&
                           target.dtype == type.dtype && target.shape == type.shape,
                       fmt::format("{} cannot write {}", info.name, target.name));
            target.producer = index;
            node.outputs.push_back(dst);
            continue;
        }
        node.outputs.push_back(ValueId{narrow<int32_t>(values_.size())});
        values_.push_back(
            {ValueKind::kTemp, type.dtype, type.layout, type.shape, "", index, false});
    }
    nodes_.push_back(std::move(node));
    return index;
}

const Value& Graph::value(ValueId id) const {
    LORA_CHECK(id.valid() && id.index < narrow<int32_t>(values_.size()), "no such value");
    return values_[static_cast<size_t>(id.index)];
}

Value& Graph::value(ValueId id) {
    LORA_CHECK(id.valid() && id.index < narrow<int32_t>(values_.size()), "no such value");
    return values_[static_cast<size_t>(id.index)];
}

std::optional<ValueId> Graph::find(std::string_view name) const {
    const auto it = names_.find(std::string(name));
    if (it == names_.end()) return std::nullopt;
    return it->second;
}

ValueId Graph::at(std::string_view name) const {
    const std::optional<ValueId> id = find(name);
    LORA_CHECK(id.has_value(), "no value named " + std::string(name));
    return *id;
}

void Graph::mark_output(ValueId id, std::string name) {
    Value& target = value(id);
    LORA_CHECK(target.kind == ValueKind::kTemp, "only temporaries become outputs");
    LORA_CHECK(!names_.contains(name), "value name taken: " + name);
    names_.emplace(name, id);
    target.name = std::move(name);
    target.is_output = true;
}

void Graph::set_nodes(std::vector<Node> nodes) {
    nodes_ = std::move(nodes);
    for (Value& item : values_) item.producer = -1;
    for (size_t i = 0; i < nodes_.size(); ++i) {
        for (const ValueId output : nodes_[i].outputs) value(output).producer = narrow<int32_t>(i);
    }
}

std::vector<std::vector<int32_t>> Graph::consumers() const {
    std::vector<std::vector<int32_t>> result(values_.size());
    for (size_t i = 0; i < nodes_.size(); ++i) {
        for (const ValueId input : nodes_[i].inputs) {
            if (!input.valid()) continue;
            std::vector<int32_t>& list = result[static_cast<size_t>(input.index)];
            if (list.empty() || list.back() != narrow<int32_t>(i))
                list.push_back(narrow<int32_t>(i));
        }
    }
    return result;
}

ValueId storage_of(const Graph& graph, ValueId id) {
    while (true) {
        const Value& item = graph.value(id);
        if (item.producer < 0) return id;
        const Node& node = graph.nodes()[static_cast<size_t>(item.producer)];
        if (!op_info(node.op).is_view) return id;
        id = node.inputs[0];
    }
}

AxisSpan axis_span(const Shape& shape, Layout layout, int axis) {
    const int index = axis < 0 ? axis + shape.num_axes() : axis;
    std::vector<int> order(static_cast<size_t>(shape.num_axes()));
    std::iota(order.begin(), order.end(), 0);
    if (layout == Layout::kChannelsLast) {
        LORA_CHECK(shape.num_axes() == 4);
        order = {0, 2, 3, 1};
    }
    AxisSpan span;
    bool seen = false;
    for (const int i : order) {
        if (i == index) {
            span.size = shape[i];
            seen = true;
        } else if (seen) {
            span.inner *= shape[i];
        } else {
            span.outer *= shape[i];
        }
    }
    LORA_CHECK(seen);
    return span;
}

}  // namespace lora::ir
