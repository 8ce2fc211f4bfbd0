#include "plan/fuse.h"

#include <optional>

namespace lora::plan {
namespace {

using ir::Graph;
using ir::Node;
using ir::OpKind;
using ir::Value;
using ir::ValueId;
using ir::ValueKind;

// The slot of the optional addend, for products that have one.
std::optional<size_t> addend_slot(const Node& node, const Capabilities& capabilities) {
    if (node.op == OpKind::kLinear && capabilities.fuse_add_into_linear) return 3;
    if (node.op == OpKind::kConv2d && capabilities.fuse_add_into_conv) return 3;
    if (node.op == OpKind::kConv2dBackwardInput && capabilities.fuse_add_into_conv) return 2;
    return std::nullopt;
}

class Fuser {
public:
    Fuser(Graph& graph, const Capabilities& capabilities)
        : graph_(&graph), capabilities_(&capabilities), consumers_(graph.consumers()) {
        removed_.resize(graph.nodes().size(), false);
    }

    void run() {
        for (size_t i = 0; i < graph_->nodes().size(); ++i) {
            if (graph_->nodes()[i].op == OpKind::kAdd) fuse_add(i);
            if (graph_->nodes()[i].op == OpKind::kActivation) fuse_activation(i);
        }
        for (size_t i = 0; i < graph_->nodes().size(); ++i) {
            if (!removed_[i] && graph_->nodes()[i].op == OpKind::kLinear) join_products(i);
        }
        std::vector<Node> kept;
        for (size_t i = 0; i < graph_->nodes().size(); ++i) {
            if (!removed_[i]) kept.push_back(std::move(graph_->nodes()[i]));
        }
        graph_->set_nodes(std::move(kept));
    }

private:
    // The node that makes `id`, if node `reader` is the only one that needs it.
    [[nodiscard]] std::optional<size_t> sole_producer(ValueId id, size_t reader) const {
        const Value& value = graph_->value(id);
        if (value.kind != ValueKind::kTemp || value.is_output || value.producer < 0)
            return std::nullopt;
        const std::vector<int32_t>& readers = consumers_[static_cast<size_t>(id.index)];
        if (readers.size() != 1 || static_cast<size_t>(readers[0]) != reader) return std::nullopt;
        const size_t producer = static_cast<size_t>(value.producer);
        if (removed_[producer]) return std::nullopt;
        return producer;
    }

    void fuse_add(size_t index) {
        Node& add = graph_->nodes()[index];
        if (add.inputs[0] == add.inputs[1]) return;
        for (size_t side = 2; side-- > 0;) {
            const ValueId product_value = add.inputs[side];
            const ValueId other = add.inputs[1 - side];
            if (graph_->value(other).shape != graph_->value(product_value).shape) continue;
            const std::optional<size_t> producer = sole_producer(product_value, index);
            if (!producer) continue;
            const Node& product = graph_->nodes()[*producer];
            const std::optional<size_t> slot = addend_slot(product, *capabilities_);
            if (!slot || product.inputs[*slot].valid()) continue;
            Node fused = product;
            fused.inputs[*slot] = other;
            fused.outputs = add.outputs;
            // The fused node stands where the addition stood, so its addend is ready.
            graph_->nodes()[index] = std::move(fused);
            move_consumers(*producer, index);
            removed_[*producer] = true;
            return;
        }
    }

    [[nodiscard]] int64_t depth(const Node& linear) const {
        return graph_->value(linear.inputs[0]).shape[-1];
    }

    // linear(x2, w2) + linear(x, w), whichever came first, as one product with two parts.
    void join_products(size_t index) {
        const Node& last = graph_->nodes()[index];
        if (!last.inputs[3].valid() || last.inputs[4].valid()) return;
        const std::optional<size_t> producer = sole_producer(last.inputs[3], index);
        if (!producer) return;
        const Node& first = graph_->nodes()[*producer];
        if (first.op != OpKind::kLinear || first.inputs[4].valid()) return;
        const bool first_is_main = depth(first) >= depth(last);
        const Node& main = first_is_main ? first : last;
        const Node& second = first_is_main ? last : first;
        if (main.attrs.alpha != 1 || main.attrs.transpose_weight != second.attrs.transpose_weight ||
            second.inputs[2].valid() || depth(second) > capabilities_->max_second_product ||
            graph_->value(first.inputs[0]).dtype != graph_->value(last.inputs[0]).dtype) {
            return;
        }
        Node joined = main;
        joined.attrs.alpha2 = second.attrs.alpha;
        joined.inputs[3] = first.inputs[3];
        joined.inputs[4] = second.inputs[0];
        joined.inputs[5] = second.inputs[1];
        joined.outputs = last.outputs;
        graph_->nodes()[index] = std::move(joined);
        move_consumers(*producer, index);
        removed_[*producer] = true;
    }

    void fuse_activation(size_t index) {
        if (!capabilities_->fuse_activation_into_group_norm) return;
        Node& activation = graph_->nodes()[index];
        if (activation.attrs.activation != ir::Activation::kSilu) return;
        const std::optional<size_t> producer = sole_producer(activation.inputs[0], index);
        if (!producer) return;
        const Node& norm = graph_->nodes()[*producer];
        if (norm.op != OpKind::kGroupNorm || norm.attrs.activation != ir::Activation::kNone) return;
        if (!consumers_[static_cast<size_t>(norm.outputs[1].index)].empty()) return;
        Node fused = norm;
        fused.attrs.activation = ir::Activation::kSilu;
        fused.outputs = {activation.outputs[0], norm.outputs[1]};
        graph_->nodes()[index] = std::move(fused);
        move_consumers(*producer, index);
        removed_[*producer] = true;
    }

    void move_consumers(size_t from, size_t to) {
        for (std::vector<int32_t>& readers : consumers_) {
            for (int32_t& reader : readers) {
                if (static_cast<size_t>(reader) == from) reader = static_cast<int32_t>(to);
            }
        }
    }

    Graph* graph_;
    const Capabilities* capabilities_;
    std::vector<std::vector<int32_t>> consumers_;
    std::vector<bool> removed_;
};

}  // namespace

void fuse(Graph& graph, const Capabilities& capabilities) { Fuser(graph, capabilities).run(); }

void remove_dead_nodes(Graph& graph) {
    std::vector<bool> read(graph.values().size(), false);
    std::vector<bool> keep(graph.nodes().size(), false);
    for (size_t i = graph.nodes().size(); i-- > 0;) {
        const Node& node = graph.nodes()[i];
        bool needed = op_info(node.op).mutated_inputs != 0;
        for (const ValueId output : node.outputs) {
            const Value& value = graph.value(output);
            needed = needed || value.is_output || value.kind == ValueKind::kState ||
                     read[static_cast<size_t>(output.index)];
        }
        keep[i] = needed;
        if (!needed) continue;
        for (const ValueId input : node.inputs) {
            if (input.valid()) read[static_cast<size_t>(input.index)] = true;
        }
    }
    std::vector<Node> kept;
    for (size_t i = 0; i < keep.size(); ++i) {
        if (keep[i]) kept.push_back(std::move(graph.nodes()[i]));
    }
    graph.set_nodes(std::move(kept));
}

}  // namespace lora::plan
