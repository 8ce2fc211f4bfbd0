// What a gradient rule sees: the forward node, the gradients that arrived at its outputs, and where
// to put the gradients of its inputs.
#pragma once

#include "ir/builder.h"

namespace lora::autodiff {

class RuleContext {
public:
    virtual ~RuleContext() = default;
    [[nodiscard]] virtual ir::Builder& builder() = 0;
    // Gradient of output i, or kNoValue when nothing flows there.
    [[nodiscard]] virtual ir::ValueId output_gradient(int i) = 0;
    // Whether a trainable parameter lies behind input i.
    [[nodiscard]] virtual bool needs(int input) const = 0;
    // Adds one contribution to the gradient of input i.
    virtual void add(int input, ir::ValueId gradient) = 0;
    // Takes the gradient that input i has so far, if there is one and the caller will add it itself
    // (as an addend of the next product); kNoValue otherwise. The sum must then be given to add().
    [[nodiscard]] virtual ir::ValueId take_partial(int input) = 0;
    // For weights: emits `op` so that it writes (or accumulates into) the gradient of input i
    // directly when input i is a parameter; otherwise adds the result as usual.
    virtual void add_weight_gradient(int input,
                                     ir::OpKind op,
                                     std::vector<ir::ValueId> inputs,
                                     ir::Attributes attrs) = 0;
};

using Rule = void (*)(RuleContext& context, const ir::Node& node);

// The rule of an operator; null when it is not differentiable (see is_differentiable).
[[nodiscard]] Rule gradient_rule(ir::OpKind op);
// False for operators that by their nature have no gradient: sources, backward and update
// operators.
[[nodiscard]] bool is_differentiable(ir::OpKind op);

namespace rules {

void reshape(RuleContext& context, const ir::Node& node);
void image_to_tokens(RuleContext& context, const ir::Node& node);
void tokens_to_image(RuleContext& context, const ir::Node& node);
void reorder(RuleContext& context, const ir::Node& node);
void cast(RuleContext& context, const ir::Node& node);
void concat(RuleContext& context, const ir::Node& node);
void slice(RuleContext& context, const ir::Node& node);
void pad(RuleContext& context, const ir::Node& node);
void swap_axes(RuleContext& context, const ir::Node& node);
void upsample2x(RuleContext& context, const ir::Node& node);
void linear(RuleContext& context, const ir::Node& node);
void conv2d(RuleContext& context, const ir::Node& node);
void hadamard(RuleContext& context, const ir::Node& node);
void group_norm(RuleContext& context, const ir::Node& node);
void layer_norm(RuleContext& context, const ir::Node& node);
void attention(RuleContext& context, const ir::Node& node);
void activation(RuleContext& context, const ir::Node& node);
void geglu(RuleContext& context, const ir::Node& node);
void add(RuleContext& context, const ir::Node& node);
void multiply(RuleContext& context, const ir::Node& node);
void scale(RuleContext& context, const ir::Node& node);
void add_channel(RuleContext& context, const ir::Node& node);
void dropout(RuleContext& context, const ir::Node& node);
void dora_scale(RuleContext& context, const ir::Node& node);
void weighted_loss(RuleContext& context, const ir::Node& node);

}  // namespace rules
}  // namespace lora::autodiff
