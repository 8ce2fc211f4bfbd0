#include "plan/gather.h"

#include <algorithm>

#include "plan/liveness.h"
#include "plan/schedule.h"

namespace lora::plan {
namespace {

using ir::Graph;
using ir::Node;
using ir::OpKind;
using ir::ValueId;
using ir::ValueKind;

// A gradient that nothing in this graph reads, of operands that nothing in it changes.
bool can_wait(const Graph& graph, const Node& node) {
    if (node.op != OpKind::kLinearBackwardWeight && node.op != OpKind::kConv2dBackwardWeight &&
        node.op != OpKind::kHadamardBackward) {
        return false;
    }
    return graph.value(node.outputs[0]).kind == ValueKind::kState &&
           std::all_of(node.inputs.begin(), node.inputs.end(), [&graph](ValueId id) {
               const ValueKind kind = graph.value(ir::storage_of(graph, id)).kind;
               return kind == ValueKind::kTemp || kind == ValueKind::kInput;
           });
}

class Gatherer {
public:
    Gatherer(Graph& graph, const Capabilities& capabilities, size_t limit_bytes)
        : graph_(&graph),
          most_(static_cast<size_t>(capabilities.most_gathered_gradients)),
          limit_bytes_(limit_bytes) {
        // Bytes in use while a node runs.
        const Liveness liveness = find_liveness(graph, capabilities);
        live_.assign(graph.nodes().size() + 1, 0);
        for (const Block& block : liveness.blocks) {
            live_[static_cast<size_t>(block.first_node)] += block.size_bytes;
            const auto after = static_cast<size_t>(block.last_node) + 1;
            if (after < live_.size()) live_[after] -= block.size_bytes;
        }
        for (size_t i = 1; i < live_.size(); ++i) live_[i] += live_[i - 1];
        last_read_.assign(graph.values().size(), 0);
        for (size_t i = 0; i < graph.nodes().size(); ++i) {
            if (op_info(graph.nodes()[i].op).is_view) continue;
            for (const ValueId id : graph.nodes()[i].inputs) {
                if (id.valid()) last_read_[storage(id)] = i;
            }
        }
    }

    void run() {
        const size_t count = graph_->nodes().size();
        for (size_t i = 0; i < count; ++i) {
            if (can_wait(*graph_, graph_->nodes()[i])) {
                waiting_.push_back(i);
                if (waiting_.size() == most_) release();
                continue;
            }
            if (!waiting_.empty() && live_[i] + held_bytes(i) > limit_bytes_) release();
            order_.push_back(i);
        }
        release();
        reorder(*graph_, order_);
    }

private:
    [[nodiscard]] size_t storage(ValueId id) const {
        return static_cast<size_t>(ir::storage_of(*graph_, id).index);
    }

    // Of operands of those that wait, which nobody else would need at node `now`.
    [[nodiscard]] size_t held_bytes(size_t now) const {
        std::vector<size_t> held;
        size_t bytes = 0;
        for (const size_t i : waiting_) {
            for (const ValueId id : graph_->nodes()[i].inputs) {
                const size_t value = storage(id);
                if (last_read_[value] >= now || std::count(held.begin(), held.end(), value) > 0) {
                    continue;
                }
                held.push_back(value);
                bytes += graph_->values()[value].num_bytes();
            }
        }
        return bytes;
    }

    void release() {
        order_.insert(order_.end(), waiting_.begin(), waiting_.end());
        waiting_.clear();
    }

    Graph* graph_;
    size_t most_;
    size_t limit_bytes_;
    std::vector<size_t> live_;
    std::vector<size_t> last_read_;  // by value that owns memory: the last node that reads it
    std::vector<size_t> waiting_;
    std::vector<size_t> order_;
};

}  // namespace

void gather_gradients(Graph& graph, const Capabilities& capabilities, size_t limit_bytes) {
    if (capabilities.most_gathered_gradients < 2) return;
    Gatherer(graph, capabilities, limit_bytes).run();
}

}  // namespace lora::plan
