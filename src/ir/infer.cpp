#include "ir/infer.h"

#include <fmt/format.h>

#include "base/check.h"
#include "ir/print.h"

namespace lora::ir {
namespace rules {

const Value& input(const Graph& graph, const Node& node, int i) {
    return graph.value(node.inputs[static_cast<size_t>(i)]);
}

bool has_input(const Node& node, int i) { return node.inputs[static_cast<size_t>(i)].valid(); }

void require(bool condition, const Graph& graph, const Node& node, const char* what) {
    if (condition) return;
    std::string inputs;
    for (const ValueId id : node.inputs) {
        inputs += id.valid() ? " " + describe(graph.value(id)) : std::string(" -");
    }
    throw Error(
        ErrorCode::kInternal,
        fmt::format("{} in {}: {} (inputs{})", op_info(node.op).name, node.scope, what, inputs));
}

}  // namespace rules

std::vector<ValueType> infer_outputs(const Graph& graph, const Node& node) {
    switch (op_info(node.op).family) {
        case OpFamily::kMovement: return rules::movement(graph, node);
        case OpFamily::kProduct: return rules::product(graph, node);
        case OpFamily::kNorm: return rules::norm(graph, node);
        case OpFamily::kAttention: return rules::attention(graph, node);
        case OpFamily::kElementwise: return rules::elementwise(graph, node);
        case OpFamily::kHadamard: return rules::hadamard(graph, node);
        case OpFamily::kSource: return rules::source(graph, node);
        case OpFamily::kLoss: return rules::loss(graph, node);
        case OpFamily::kUpdate: return rules::update(graph, node);
    }
    throw Error(ErrorCode::kInternal, "operator without shape rule");
}

}  // namespace lora::ir
