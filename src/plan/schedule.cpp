#include "plan/schedule.h"

#include <algorithm>
#include <numeric>

namespace lora::plan {
namespace {

using ir::Graph;
using ir::Node;
using ir::ValueId;
using ir::ValueKind;

bool touches_state(const Graph& graph, const Node& node) {
    if (op_info(node.op).mutated_inputs != 0) return true;
    const auto persistent = [&graph](ValueId id) {
        if (!id.valid()) return false;
        const ValueKind kind = graph.value(id).kind;
        return kind == ValueKind::kState || kind == ValueKind::kParam;
    };
    return std::any_of(node.outputs.begin(), node.outputs.end(), persistent) ||
           (std::any_of(node.inputs.begin(), node.inputs.end(), persistent) &&
            node.op != ir::OpKind::kCast);
}

}  // namespace

// Walking backwards, every node that can wait gets the position of its first reader. A node can
// wait when each of its temporary inputs is read by somebody at or after that position anyway.
void schedule(Graph& graph) {
    const size_t count = graph.nodes().size();
    std::vector<size_t> position(count);
    std::iota(position.begin(), position.end(), size_t{0});
    const std::vector<std::vector<int32_t>> consumers = graph.consumers();

    // Whether somebody may overwrite parameters or state: then readers of those stay where they
    // are.
    bool mutates = false;
    for (const Node& node : graph.nodes())
        mutates = mutates || op_info(node.op).mutated_inputs != 0;

    for (size_t i = count; i-- > 0;) {
        const Node& node = graph.nodes()[i];
        if (touches_state(graph, node) || (mutates && node.op == ir::OpKind::kCast)) continue;
        size_t first_reader = count;
        for (const ValueId output : node.outputs) {
            for (const int32_t reader : consumers[static_cast<size_t>(output.index)]) {
                first_reader = std::min(first_reader, position[static_cast<size_t>(reader)]);
            }
        }
        if (first_reader == count || first_reader <= position[i] + 1) continue;
        bool can_wait = true;
        for (const ValueId input : node.inputs) {
            if (!input.valid() || graph.value(input).kind != ValueKind::kTemp) continue;
            size_t last_other = 0;
            for (const int32_t reader : consumers[static_cast<size_t>(input.index)]) {
                if (static_cast<size_t>(reader) == i) continue;
                last_other = std::max(last_other, position[static_cast<size_t>(reader)]);
            }
            can_wait = can_wait && last_other >= first_reader;
        }
        if (can_wait) position[i] = first_reader;
    }

    // Nodes that share a position: those that moved there come before the reader that was there,
    // among themselves in their old order.
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&position](size_t a, size_t b) {
        return position[a] < position[b];
    });
    reorder(graph, order);
}

void reorder(Graph& graph, const std::vector<size_t>& order) {
    std::vector<Node> nodes;
    nodes.reserve(order.size());
    for (const size_t i : order) nodes.push_back(std::move(graph.nodes()[i]));
    graph.set_nodes(std::move(nodes));
}

}  // namespace lora::plan
