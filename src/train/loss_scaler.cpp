#include "train/loss_scaler.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "ir/builder.h"

namespace lora::train {
namespace {

constexpr double kGrowth = 2;
constexpr double kBackoff = 0.5;
constexpr int64_t kGrowthInterval = 2000;
// 26 halvings from the start: by then what is not finite was so before it was scaled.
constexpr double kLeastScale = 1.0 / 1024;

// unscaled = factor * scaled, in the same place; the norm tells whether all of it is finite.
ir::Graph build_graph(int64_t num_elements) {
    ir::Graph graph;
    ir::Builder b(graph);
    const ir::Builder::Scope scope(b, "unscale");
    const Shape row{1, num_elements};
    const ir::ValueId scaled = b.param("scaled", row);
    const ir::ValueId sum = b.node(ir::OpKind::kSumSquares, {scaled, ir::kNoValue})[0];
    graph.mark_output(sum, "sum_squares");
    const ir::ValueId factor = b.input("factor", DType::kF32, Shape{1});
    const ir::ValueId zero = b.input("zero", DType::kF32, Shape{1});
    b.node(ir::OpKind::kMixRows, {scaled, scaled, factor, zero}, {}, b.state("unscaled", row));
    return graph;
}

}  // namespace

LossScaler::LossScaler(backend::Backend& backend,
                       const std::shared_ptr<backend::Buffer>& gradients,
                       int64_t num_elements,
                       const LossScale& state)
    : state_(state), factors_(backend.make_buffer(2 * sizeof(float))) {
    const backend::Bindings bindings = {{"scaled", {nullptr, gradients, 0}},
                                        {"unscaled", {nullptr, gradients, 0}},
                                        {"factor", {nullptr, factors_, 0}},
                                        {"zero", {nullptr, factors_, sizeof(float)}}};
    executable_ = backend.compile(
        plan::make_plan(build_graph(num_elements), backend.capabilities()), bindings);
}

bool LossScaler::unscale() {
    const std::array<float, 2> factors = {static_cast<float>(1 / state_.scale), 0};
    factors_->write(0, std::as_bytes(std::span(factors)));
    executable_->run();
    float sum = 0;
    executable_->read_output("sum_squares", std::as_writable_bytes(std::span(&sum, 1)));
    if (std::isfinite(sum)) {
        if (++state_.good_updates == kGrowthInterval) {
            state_.scale *= kGrowth;
            state_.good_updates = 0;
        }
        return true;
    }
    state_.scale *= kBackoff;
    state_.good_updates = 0;
    ++state_.skipped_updates;
    if (state_.scale < kLeastScale) {
        throw Error(ErrorCode::kNumeric, "the gradients are not finite at any loss scale")
            .with_hint("use --mixed_precision bf16 or no, or lower the learning rate");
    }
    return false;
}

}  // namespace lora::train
