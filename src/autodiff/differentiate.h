// Symbolic gradients: appends to a graph the operators that compute d loss / d parameter.
// Gradients flow through frozen layers but never into frozen weights: an operator is added only
// when some trainable parameter lies behind it, so nothing is computed or kept in vain.
// Not the numbers: rules/<family>.cpp hold one rule an operator.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "ir/builder.h"

namespace lora::autodiff {

struct DifferentiateOptions {
    // The gradient that is computed is loss_scale * d loss (1 / accumulation steps; fp16 scaling).
    double loss_scale = 1;
    // Where a parameter's gradient goes: kState values of the parameter's shape, by parameter name.
    // A parameter without an entry gets a state value named "grad." + name.
    std::vector<std::pair<std::string, ir::ValueId>> destinations;
    // Gradients are added to what the state holds instead of replacing it.
    bool accumulate = false;
    // Parameters that get no gradient, by name; empty: none.
    std::function<bool(const std::string&)> is_frozen = {};
};

struct Gradient {
    ir::ValueId param;
    ir::ValueId gradient;  // kState
};

// Differentiates the scalar `loss` (output of weighted_mse) with respect to every kParam value that
// it depends on and that is not frozen. Parameters that it does not depend on are absent from the
// result: they have no gradient, which is not the same as a zero gradient. Errors  kInternal when
// an operator on the way has no gradient.
std::vector<Gradient> differentiate(ir::Builder& builder,
                                    ir::ValueId loss,
                                    const DifferentiateOptions& options = {});

}  // namespace lora::autodiff
