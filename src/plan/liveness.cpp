#include "plan/liveness.h"

#include <algorithm>

#include "base/check.h"

namespace lora::plan {
namespace {

using ir::Graph;
using ir::Node;
using ir::Value;
using ir::ValueId;
using ir::ValueKind;

class Finder {
public:
    Finder(const Graph& graph, const Capabilities& capabilities)
        : graph_(&graph), capabilities_(&capabilities) {
        result_.block_of_value.assign(graph.values().size(), Liveness::kNoBlock);
        result_.block_of_scratch.assign(graph.nodes().size(), Liveness::kNoBlock);
        find_last_reads();
    }

    Liveness run() {
        const int32_t count = narrow<int32_t>(graph_->nodes().size());
        for (int32_t i = 0; i < count; ++i) {
            const Node& node = graph_->nodes()[static_cast<size_t>(i)];
            if (op_info(node.op).is_view) {
                set_block(node.outputs[0], block_of(node.inputs[0]));
                continue;
            }
            for (size_t k = 0; k < node.outputs.size(); ++k) place_output(i, node, k);
            const size_t scratch =
                capabilities_->scratch_bytes ? capabilities_->scratch_bytes(*graph_, node) : 0;
            if (scratch > 0) {
                result_.block_of_scratch[static_cast<size_t>(i)] =
                    narrow<int32_t>(result_.blocks.size());
                result_.blocks.push_back({scratch, i, i});
            }
        }
        return std::move(result_);
    }

private:
    // Last node that reads each storage, views followed to their source.
    void find_last_reads() {
        const int32_t count = narrow<int32_t>(graph_->nodes().size());
        root_.resize(graph_->values().size());
        last_read_.assign(graph_->values().size(), -1);
        for (size_t v = 0; v < root_.size(); ++v) root_[v] = narrow<int32_t>(v);
        for (int32_t i = 0; i < count; ++i) {
            const Node& node = graph_->nodes()[static_cast<size_t>(i)];
            if (op_info(node.op).is_view) {
                root_[index(node.outputs[0])] = root_[index(node.inputs[0])];
            } else {
                for (const ValueId input : node.inputs) {
                    if (input.valid()) last_read_[root_index(input)] = i;
                }
            }
            for (const ValueId output : node.outputs) {
                if (graph_->value(output).is_output) output_roots_.push_back(root_[index(output)]);
            }
        }
        for (const int32_t root : output_roots_) last_read_[static_cast<size_t>(root)] = count;
    }

    void place_output(int32_t i, const Node& node, size_t k) {
        const ValueId output = node.outputs[k];
        const Value& value = graph_->value(output);
        if (value.kind != ValueKind::kTemp) return;
        const int32_t last = std::max(i, last_read_[index(output)]);
        if (k == 0) {
            const int32_t taken = block_to_take_over(i, node, value);
            if (taken != Liveness::kNoBlock) {
                set_block(output, taken);
                result_.blocks[static_cast<size_t>(taken)].last_node = last;
                return;
            }
        }
        set_block(output, narrow<int32_t>(result_.blocks.size()));
        result_.blocks.push_back({value.num_bytes(), i, last});
    }

    [[nodiscard]] int32_t block_to_take_over(int32_t i,
                                             const Node& node,
                                             const Value& output) const {
        const int slot = op_info(node.op).inplace_input;
        if (slot < 0) return Liveness::kNoBlock;
        const ValueId input = node.inputs[static_cast<size_t>(slot)];
        if (!input.valid()) return Liveness::kNoBlock;
        const int32_t block = block_of(input);
        if (block == Liveness::kNoBlock) return Liveness::kNoBlock;
        const bool dies = last_read_[root_index(input)] == i &&
                          result_.blocks[static_cast<size_t>(block)].last_node <= i;
        if (!dies || graph_->value(input).num_bytes() != output.num_bytes() ||
            result_.blocks[static_cast<size_t>(block)].size_bytes != output.num_bytes()) {
            return Liveness::kNoBlock;
        }
        for (size_t k = 0; k < node.inputs.size(); ++k) {
            if (static_cast<int>(k) == slot || !node.inputs[k].valid()) continue;
            if (block_of(node.inputs[k]) == block) return Liveness::kNoBlock;
        }
        const bool able =
            capabilities_->can_run_in_place && capabilities_->can_run_in_place(*graph_, node);
        return able ? block : Liveness::kNoBlock;
    }

    static size_t index(ValueId id) { return static_cast<size_t>(id.index); }
    [[nodiscard]] size_t root_index(ValueId id) const {
        return static_cast<size_t>(root_[index(id)]);
    }
    [[nodiscard]] int32_t block_of(ValueId id) const { return result_.block_of_value[index(id)]; }
    void set_block(ValueId id, int32_t block) { result_.block_of_value[index(id)] = block; }

    const Graph* graph_;
    const Capabilities* capabilities_;
    Liveness result_;
    std::vector<int32_t> root_;
    std::vector<int32_t> last_read_;
    std::vector<int32_t> output_roots_;
};

}  // namespace

Liveness find_liveness(const Graph& graph, const Capabilities& capabilities) {
    return Finder(graph, capabilities).run();
}

}  // namespace lora::plan
