#include "autodiff/differentiate.h"

#include <unordered_map>

#include <fmt/format.h>

#include "autodiff/rule.h"
#include "base/check.h"

namespace lora::autodiff {
namespace {

using ir::Graph;
using ir::Node;
using ir::OpKind;
using ir::Value;
using ir::ValueId;
using ir::ValueKind;

// Values that depend on a parameter that wants a gradient.
std::vector<bool> reaches_param(const Graph& graph, const DifferentiateOptions& options) {
    std::vector<bool> result(graph.values().size(), false);
    for (size_t i = 0; i < result.size(); ++i) {
        const Value& value = graph.values()[i];
        result[i] = value.kind == ValueKind::kParam &&
                    !(options.is_frozen && options.is_frozen(value.name));
    }
    for (const Node& node : graph.nodes()) {
        bool any = false;
        for (const ValueId input : node.inputs) {
            any = any || (input.valid() && result[static_cast<size_t>(input.index)]);
        }
        for (const ValueId output : node.outputs) result[static_cast<size_t>(output.index)] = any;
    }
    return result;
}

// Values that the loss depends on.
std::vector<bool> reached_from(const Graph& graph, ValueId loss) {
    std::vector<bool> result(graph.values().size(), false);
    result[static_cast<size_t>(loss.index)] = true;
    for (size_t i = graph.nodes().size(); i-- > 0;) {
        const Node& node = graph.nodes()[i];
        bool any = false;
        for (const ValueId output : node.outputs) {
            any = any || result[static_cast<size_t>(output.index)];
        }
        if (!any) continue;
        for (const ValueId input : node.inputs) {
            if (input.valid()) result[static_cast<size_t>(input.index)] = true;
        }
    }
    return result;
}

class Differentiator final : public RuleContext {
public:
    Differentiator(ir::Builder& builder, ValueId loss, const DifferentiateOptions& options)
        : builder_(&builder), options_(&options), active_(reaches_param(builder.graph(), options)) {
        const std::vector<bool> wanted = reached_from(builder.graph(), loss);
        for (size_t i = 0; i < active_.size(); ++i) active_[i] = active_[i] && wanted[i];
        partial_.resize(active_.size());
    }

    std::vector<Gradient> run(ValueId loss) {
        loss_ = loss;
        const size_t num_forward = builder_->graph().nodes().size();
        for (size_t i = num_forward; i-- > 0;) visit(i);
        finish_params();
        return std::move(gradients_);
    }

    ir::Builder& builder() override { return *builder_; }

    ValueId output_gradient(int i) override {
        const ValueId output = node_.outputs[static_cast<size_t>(i)];
        if (static_cast<size_t>(output.index) >= partial_.size()) return ir::kNoValue;
        return partial_[static_cast<size_t>(output.index)];
    }

    bool needs(int input) const override {
        const ValueId id = node_.inputs[static_cast<size_t>(input)];
        return id.valid() && active_[static_cast<size_t>(id.index)];
    }

    void add(int input, ValueId gradient) override {
        if (!gradient.valid() || !needs(input)) return;
        ValueId& sum =
            partial_[static_cast<size_t>(node_.inputs[static_cast<size_t>(input)].index)];
        sum = sum.valid() ? builder_->add(sum, gradient) : gradient;
    }

    ValueId take_partial(int input) override {
        if (!needs(input)) return ir::kNoValue;
        ValueId& sum =
            partial_[static_cast<size_t>(node_.inputs[static_cast<size_t>(input)].index)];
        return std::exchange(sum, ir::kNoValue);
    }

    void add_weight_gradient(int input,
                             OpKind op,
                             std::vector<ValueId> inputs,
                             ir::Attributes attrs) override {
        if (!needs(input)) return;
        const ValueId target = node_.inputs[static_cast<size_t>(input)];
        const ValueId param = param_behind(target);
        if (!param.valid() || written_[param.index]) {
            if (op != OpKind::kHadamardBackward) attrs.dtype = builder_->dtype(target);
            add(input,
                cast_like(builder_->node(op, std::move(inputs), std::move(attrs))[0], target));
            return;
        }
        attrs.accumulate = options_->accumulate;
        const ValueId dst = destination(param);
        builder_->node(op, std::move(inputs), std::move(attrs), dst);
        written_[param.index] = true;
        gradients_.push_back({param, dst});
    }

private:
    void visit(size_t index) {
        node_ = builder_->graph().nodes()[index];  // a copy: rules append to the node list
        bool arrived = node_.outputs.size() > 0 && node_.outputs[0] == loss_;
        for (size_t i = 0; i < node_.outputs.size(); ++i) {
            arrived = arrived || output_gradient(static_cast<int>(i)).valid();
        }
        bool wanted = false;
        for (size_t i = 0; i < node_.inputs.size(); ++i) {
            wanted = wanted || needs(static_cast<int>(i));
        }
        if (!arrived || !wanted) return;
        const Rule rule = gradient_rule(node_.op);
        LORA_CHECK(rule != nullptr,
                   fmt::format("{} in {} has no gradient", op_info(node_.op).name, node_.scope));
        builder_->set_scope(node_.scope);
        if (node_.outputs[0] == loss_) node_.attrs.alpha = options_->loss_scale;
        rule(*this, node_);
    }

    // The fp32 parameter that `id` is, or is the only cast of.
    ValueId param_behind(ValueId id) {
        const Graph& graph = builder_->graph();
        const Value& value = graph.value(id);
        if (value.kind == ValueKind::kParam) return num_uses(id) == 1 ? id : ir::kNoValue;
        if (value.producer < 0) return ir::kNoValue;
        const Node& producer = graph.nodes()[static_cast<size_t>(value.producer)];
        if (producer.op != OpKind::kCast || num_uses(id) != 1) return ir::kNoValue;
        const ValueId source = producer.inputs[0];
        const bool direct = graph.value(source).kind == ValueKind::kParam &&
                            num_uses(source) == 1 && graph.value(source).dtype == DType::kF32;
        return direct ? source : ir::kNoValue;
    }

    // Uses by forward nodes.
    int64_t num_uses(ValueId id) {
        if (uses_.empty()) {
            uses_.resize(partial_.size(), 0);
            for (const Node& node : builder_->graph().nodes()) {
                for (const ValueId input : node.inputs) {
                    if (input.valid() && static_cast<size_t>(input.index) < uses_.size()) {
                        ++uses_[static_cast<size_t>(input.index)];
                    }
                }
            }
        }
        return uses_[static_cast<size_t>(id.index)];
    }

    ValueId cast_like(ValueId gradient, ValueId like) {
        return builder_->cast(gradient, builder_->dtype(like));
    }

    ValueId destination(ValueId param) {
        const Value value = builder_->graph().value(param);
        for (const auto& [name, dst] : options_->destinations) {
            if (name == value.name) return dst;
        }
        return builder_->state("grad." + value.name, value.shape, value.dtype);
    }

    // Parameters whose gradient was summed from parts: move the sum into the state.
    void finish_params() {
        const size_t count = partial_.size();
        for (size_t i = 0; i < count; ++i) {
            const ValueId param{narrow<int32_t>(i)};
            if (builder_->graph().value(param).kind != ValueKind::kParam || !partial_[i].valid()) {
                continue;
            }
            LORA_CHECK(!written_[param.index], "gradient written and summed");
            const ValueId dst = destination(param);
            ir::Attributes attrs;
            attrs.dtype = builder_->dtype(param);
            attrs.accumulate = options_->accumulate;
            builder_->node(OpKind::kCast, {partial_[i]}, attrs, dst);
            gradients_.push_back({param, dst});
        }
    }

    ir::Builder* builder_;
    const DifferentiateOptions* options_;
    std::vector<bool> active_;
    std::vector<ValueId> partial_;  // by forward value: gradient so far
    std::vector<int64_t> uses_;
    std::unordered_map<int32_t, bool> written_;
    std::vector<Gradient> gradients_;
    ValueId loss_;
    Node node_;
};

}  // namespace

std::vector<Gradient> differentiate(ir::Builder& builder,
                                    ValueId loss,
                                    const DifferentiateOptions& options) {
    LORA_CHECK(builder.shape(loss) == Shape{}, "the loss is a scalar");
    return Differentiator(builder, loss, options).run(loss);
}

}  // namespace lora::autodiff
