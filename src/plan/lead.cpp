#include "plan/lead.h"

#include <algorithm>

#include "plan/schedule.h"

namespace lora::plan {
namespace {

using ir::Graph;
using ir::Node;
using ir::OpKind;
using ir::ValueId;
using ir::ValueKind;

class Leader {
public:
    explicit Leader(Graph& graph) : graph_(&graph), moved_(graph.nodes().size(), false) {
        for (size_t i = 0; i < graph.nodes().size(); ++i) {
            if (graph.nodes()[i].op == OpKind::kHadamard) weights_.push_back(i);
        }
    }

    void run() {
        const size_t count = graph_->nodes().size();
        size_t next = 0;  // of weights_: the first that has not been reached
        for (size_t i = 0; i < count; ++i) {
            const bool weight = next < weights_.size() && weights_[next] == i;
            if (!moved_[i]) place(i);
            if (!weight) continue;
            ++next;
            if (next < weights_.size()) lead(i, weights_[next]);
        }
        reorder(*graph_, order_);
    }

private:
    void place(size_t i) {
        order_.push_back(i);
        moved_[i] = true;
    }

    // Places node `last` after node `now`, with what it needs of the nodes between, where all of
    // that comes from parameters and weights alone.
    void lead(size_t now, size_t last) {
        const std::vector<Node>& nodes = graph_->nodes();
        std::vector<size_t> needed{last};
        for (size_t at = 0; at < needed.size(); ++at) {
            const Node& node = nodes[needed[at]];
            for (const ValueId id : node.inputs) {
                if (!id.valid()) continue;
                const ir::Value& value = graph_->value(id);
                if (value.kind == ValueKind::kParam || value.kind == ValueKind::kWeight) continue;
                if (value.producer < 0) return;
                const auto maker = static_cast<size_t>(value.producer);
                if (!moved_[maker] && std::count(needed.begin(), needed.end(), maker) == 0) {
                    needed.push_back(maker);
                }
            }
        }
        for (size_t i = now + 1; i < last; ++i) {
            if (op_info(nodes[i].op).mutated_inputs != 0) return;
        }
        std::sort(needed.begin(), needed.end());
        for (const size_t i : needed) place(i);
    }

    Graph* graph_;
    std::vector<size_t> weights_;
    std::vector<bool> moved_;
    std::vector<size_t> order_;
};

}  // namespace

void lead_weights(Graph& graph) { Leader(graph).run(); }

}  // namespace lora::plan
