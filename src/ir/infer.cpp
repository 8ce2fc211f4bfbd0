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
    switch (node.op) {
        case OpKind::kReshape:
        case OpKind::kImageToTokens:
        case OpKind::kTokensToImage:
        case OpKind::kReorder:
        case OpKind::kCast:
        case OpKind::kConcat:
        case OpKind::kSlice:
        case OpKind::kPad:
        case OpKind::kUpsample2x:
        case OpKind::kUpsample2xBackward: return rules::movement(graph, node);
        case OpKind::kLinear:
        case OpKind::kLinearBackwardWeight:
        case OpKind::kConv2d:
        case OpKind::kConv2dBackwardInput:
        case OpKind::kConv2dBackwardWeight: return rules::product(graph, node);
        case OpKind::kGroupNorm:
        case OpKind::kGroupNormBackward:
        case OpKind::kLayerNorm:
        case OpKind::kLayerNormBackward: return rules::norm(graph, node);
        case OpKind::kAttention:
        case OpKind::kAttentionBackward: return rules::attention(graph, node);
        case OpKind::kActivation:
        case OpKind::kActivationBackward:
        case OpKind::kGeglu:
        case OpKind::kGegluBackward:
        case OpKind::kAdd:
        case OpKind::kScale:
        case OpKind::kAddChannel:
        case OpKind::kSumSpatial:
        case OpKind::kMixRows: return rules::elementwise(graph, node);
        case OpKind::kEmbedding:
        case OpKind::kTimestepEmbedding: return rules::source(graph, node);
        case OpKind::kWeightedMse:
        case OpKind::kWeightedMseBackward: return rules::loss(graph, node);
        case OpKind::kSumSquares:
        case OpKind::kClipCoefficient:
        case OpKind::kAdamW: return rules::update(graph, node);
        case OpKind::kCount_: break;
    }
    throw Error(ErrorCode::kInternal, "operator without shape rule");
}

}  // namespace lora::ir
