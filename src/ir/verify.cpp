#include "ir/verify.h"

#include <fmt/format.h>

#include "base/check.h"
#include "ir/infer.h"

namespace lora::ir {
namespace {

void verify_node(const Graph& graph, int32_t index, std::vector<bool>& defined) {
    const Node& node = graph.nodes()[static_cast<size_t>(index)];
    const OpInfo& info = op_info(node.op);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
        const ValueId id = node.inputs[i];
        if (!id.valid()) continue;
        LORA_CHECK(
            defined[static_cast<size_t>(id.index)],
            fmt::format(
                "node {} ({}) reads value {} before it is made", index, info.name, id.index));
        const ValueKind kind = graph.value(id).kind;
        LORA_CHECK(
            ((info.mutated_inputs >> i) & 1U) == 0 || kind == ValueKind::kParam ||
                kind == ValueKind::kState,
            fmt::format("node {} ({}) writes value {} in place", index, info.name, id.index));
    }
    const std::vector<ValueType> types = infer_outputs(graph, node);
    LORA_CHECK(types.size() == node.outputs.size());
    for (size_t i = 0; i < types.size(); ++i) {
        const Value& output = graph.value(node.outputs[i]);
        LORA_CHECK(
            output.producer == index && output.shape == types[i].shape &&
                output.dtype == types[i].dtype && output.layout == types[i].layout,
            fmt::format("node {} ({}) output {} is not what its rule says", index, info.name, i));
        defined[static_cast<size_t>(node.outputs[i].index)] = true;
    }
}

}  // namespace

void verify(const Graph& graph) {
    std::vector<bool> defined(graph.values().size(), false);
    for (size_t i = 0; i < defined.size(); ++i) {
        const Value& value = graph.values()[i];
        // State may be read before the graph writes it: it persists between runs.
        defined[i] = value.kind != ValueKind::kTemp;
    }
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
        verify_node(graph, narrow<int32_t>(i), defined);
    }
}

}  // namespace lora::ir
