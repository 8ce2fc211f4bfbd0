#include "support/op_case.h"

#include <ostream>

#include "base/check.h"

namespace lora::support {

using ir::ValueId;

std::string CaseBuilder::next_name(const char* kind, const Fill& fill) {
    std::string name = kind + std::to_string(num_names_++);
    target_->fills.emplace(name, fill);
    return name;
}

ValueId CaseBuilder::operand(const Shape& shape, const Fill& fill) {
    if (!options_.gradients) {
        return builder_.input(next_name("x", fill), options_.dtype, shape);
    }
    const DType master = options_.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    return builder_.cast(builder_.param(next_name("p", fill), shape, master), options_.dtype);
}

ValueId CaseBuilder::image(const Shape& shape) {
    return builder_.reorder(operand(shape), ir::Layout::kChannelsLast);
}

ValueId CaseBuilder::weight(const Shape& shape, const Fill& fill) {
    return builder_.weight(next_name("w", fill), options_.dtype, shape);
}

ValueId CaseBuilder::weight_of(DType dtype, const Shape& shape, const Fill& fill) {
    return builder_.weight(next_name("w", fill), dtype, shape);
}

ValueId CaseBuilder::input(const Shape& shape, DType dtype, const Fill& fill) {
    return builder_.input(next_name("i", fill), dtype, shape);
}

ValueId CaseBuilder::state(const Shape& shape, const Fill& fill, DType dtype) {
    const ValueId value = builder_.state(next_name("s", fill), shape, dtype);
    target_->results.push_back(target_->graph.value(value).name);
    return value;
}

void CaseBuilder::result(ValueId value) {
    if (target_->graph.value(value).kind == ir::ValueKind::kTemp) {
        const std::string name = "result" + std::to_string(results_.size());
        target_->graph.mark_output(value, name);
        target_->results.push_back(name);
    }
    results_.push_back(value);
}

void PrintTo(const OpCase& item, std::ostream* out) { *out << item.name; }

std::vector<OpCase> all_cases() {
    std::vector<OpCase> all;
    for (const auto family : {cases::movement,
                              cases::product,
                              cases::norm,
                              cases::attention,
                              cases::elementwise,
                              cases::source,
                              cases::hadamard,
                              cases::loss,
                              cases::update}) {
        for (OpCase& item : family()) all.push_back(std::move(item));
    }
    return all;
}

namespace {

autodiff::DifferentiateOptions gradient_options(const CaseOptions& options) {
    autodiff::DifferentiateOptions result;
    result.accumulate = options.accumulate;
    return result;
}

}  // namespace

CaseGraph build_case(const OpCase& item, const CaseOptions& options) {
    LORA_CHECK(!options.gradients || item.differentiable, item.name + " has no gradient");
    CaseGraph built;
    CaseBuilder c(built, options);
    item.build(c);
    if (!options.gradients) return built;
    ir::Builder& b = c.b();
    ValueId loss = c.results().at(0);
    if (b.shape(loss).num_axes() > 0) {
        ValueId y = loss;
        if (b.shape(y).num_axes() == 4) y = b.reorder(y, ir::Layout::kRowMajor);
        const ValueId target = c.input(b.shape(y), b.dtype(y));
        const ValueId weights =
            c.input({b.shape(y)[0]}, DType::kF32, {.kind = Fill::Kind::kPositive, .offset = 0.5});
        loss = b.weighted_mse(y, target, weights).loss;
        built.graph.mark_output(loss, "loss");
    }
    built.loss = built.graph.value(loss).name;
    built.gradients = autodiff::differentiate(b, loss, gradient_options(options));
    for (const autodiff::Gradient& gradient : built.gradients) {
        built.results.push_back(built.graph.value(gradient.gradient).name);
    }
    return built;
}

}  // namespace lora::support
