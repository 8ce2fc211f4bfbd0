#include "plan/recompute.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"

namespace lora::plan {
namespace {

using ir::Graph;
using ir::Node;
using ir::OpKind;
using ir::ValueId;
using ir::ValueKind;

constexpr int kNever = -1;

int level_of(const Node& node) {
    switch (node.op) {
        case OpKind::kReshape:
        case OpKind::kImageToTokens:
        case OpKind::kTokensToImage:
        case OpKind::kReorder:
        case OpKind::kCast:
        case OpKind::kConcat:
        case OpKind::kSlice:
        case OpKind::kSwapAxes:
        case OpKind::kUpsample2x:
        case OpKind::kGroupNorm:
        case OpKind::kLayerNorm:
        case OpKind::kActivation:
        case OpKind::kGeglu:
        case OpKind::kMultiply:
        case OpKind::kScale:
        case OpKind::kDropout:
        case OpKind::kAddChannel: return 0;
        case OpKind::kLinear: return node.inputs[3].valid() && node.attrs.alpha == 1 ? kNever : 1;
        case OpKind::kAttention: return 2;
        case OpKind::kConv2d: return node.inputs[3].valid() ? kNever : 2;
        default: return kNever;
    }
}

// Index of the first node of the backward pass; the number of nodes when there is none.
size_t backward_begin(const Graph& graph) {
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
        if (graph.nodes()[i].op == OpKind::kWeightedLossBackward) return i;
    }
    return graph.nodes().size();
}

class Recomputer {
public:
    Recomputer(Graph& graph, const std::vector<Candidate>& chosen)
        : graph_(&graph), begin_(backward_begin(graph)) {
        chosen_.resize(graph.nodes().size(), false);
        for (const Candidate& candidate : chosen) {
            chosen_[static_cast<size_t>(candidate.node)] = true;
        }
        for (size_t i = 0; i < begin_; ++i) {
            const OpKind op = graph.nodes()[i].op;
            if (op == OpKind::kDequantize || op == OpKind::kHadamard) chosen_[i] = true;
            if (op == OpKind::kDoraScale) choose_all_behind(graph.nodes()[i].inputs[0]);
        }
    }

    int64_t run() {
        const std::vector<Node> nodes = graph_->nodes();
        std::vector<int32_t> producer;
        for (const ir::Value& value : graph_->values()) producer.push_back(value.producer);
        producers_ = std::move(producer);
        forward_ = nodes;
        for (size_t i = 0; i < nodes.size(); ++i) {
            Node node = nodes[i];
            if (i >= begin_) {
                for (ValueId& input : node.inputs) input = again(input);
            }
            result_.push_back(std::move(node));
        }
        graph_->set_nodes(std::move(result_));
        return added_;
    }

private:
    // A whole weight in fp32 that DoRA takes the norm of is as large as the weight, and made from
    // weights alone: it is made again, never kept.
    void choose_all_behind(ValueId id) {
        const int32_t producer = graph_->value(id).producer;
        if (producer < 0 || chosen_[static_cast<size_t>(producer)]) return;
        chosen_[static_cast<size_t>(producer)] = true;
        for (const ValueId input : graph_->nodes()[static_cast<size_t>(producer)].inputs) {
            if (input.valid()) choose_all_behind(input);
        }
    }

    // The value that a backward node should read in place of `id`.
    ValueId again(ValueId id) {
        if (!id.valid() || static_cast<size_t>(id.index) >= producers_.size()) return id;
        const int32_t producer = producers_[static_cast<size_t>(id.index)];
        if (producer < 0 || static_cast<size_t>(producer) >= begin_ ||
            !chosen_[static_cast<size_t>(producer)]) {
            return id;
        }
        if (const auto it = copies_.find(id.index); it != copies_.end()) return it->second;
        Node copy = forward_[static_cast<size_t>(producer)];
        const std::vector<ValueId> originals = copy.outputs;
        for (ValueId& input : copy.inputs) input = again(input);
        const int32_t index = graph_->add_node(std::move(copy));
        Node made = graph_->nodes()[static_cast<size_t>(index)];
        for (size_t k = 0; k < originals.size(); ++k) copies_[originals[k].index] = made.outputs[k];
        result_.push_back(std::move(made));
        ++added_;
        return copies_.at(id.index);
    }

    Graph* graph_;
    size_t begin_;
    std::vector<bool> chosen_;
    std::vector<int32_t> producers_;
    std::vector<Node> forward_;
    std::vector<Node> result_;
    std::unordered_map<int32_t, ValueId> copies_;
    int64_t added_ = 0;
};

}  // namespace

std::vector<Candidate> find_candidates(const Graph& graph) {
    const size_t begin = backward_begin(graph);
    const std::vector<std::vector<int32_t>> consumers = graph.consumers();
    std::vector<Candidate> result;
    for (size_t i = 0; i < begin; ++i) {
        const Node& node = graph.nodes()[i];
        const int level = level_of(node);
        if (level == kNever) continue;
        size_t saved = 0;
        bool marked = false;
        for (const ValueId output : node.outputs) {
            const ir::Value& value = graph.value(output);
            marked = marked || value.is_output || value.kind != ValueKind::kTemp;
            saved += value.num_bytes();
        }
        if (marked) continue;
        result.push_back({narrow<int32_t>(i), level, saved});
    }
    // Views of what is recomputed must follow their source, so they come first within level 0.
    std::stable_sort(
        result.begin(), result.end(), [&graph](const Candidate& a, const Candidate& b) {
            const bool view_a = op_info(graph.nodes()[static_cast<size_t>(a.node)].op).is_view;
            const bool view_b = op_info(graph.nodes()[static_cast<size_t>(b.node)].op).is_view;
            if (a.level != b.level) return a.level < b.level;
            if (view_a != view_b) return view_a;
            return a.saved_bytes > b.saved_bytes;
        });
    return result;
}

int64_t recompute(Graph& graph, const std::vector<Candidate>& chosen) {
    return Recomputer(graph, chosen).run();
}

}  // namespace lora::plan
