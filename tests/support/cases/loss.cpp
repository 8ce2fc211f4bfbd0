// Cases of the loss.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

OpCase loss_case(std::string name, const Shape& shape, bool channels_last) {
    return {std::move(name),
            OpKind::kWeightedMse,
            [=](CaseBuilder& c) {
                const ValueId prediction = channels_last ? c.image(shape) : c.operand(shape);
                ValueId target = c.input(shape, c.dtype());
                if (channels_last) target = c.b().reorder(target, ir::Layout::kChannelsLast);
                const ValueId weights = c.input(
                    {shape[0]}, DType::kF32, {.kind = Fill::Kind::kPositive, .offset = 0.5});
                const ir::Builder::Loss loss = c.b().weighted_mse(prediction, target, weights);
                c.result(loss.loss);
                c.result(loss.losses);
            },
            shape.num_elements()};
}

}  // namespace

std::vector<OpCase> loss() {
    return {
        loss_case("weighted_mse/odd", {3, 7}, false),
        loss_case("weighted_mse/one", {1, 1}, false),
        loss_case("weighted_mse/one_axis", {5}, false),
        loss_case("weighted_mse/latents", {2, 4, 3, 5}, false),
        loss_case("weighted_mse/channels_last", {2, 3, 5, 3}, true),
    };
}

}  // namespace lora::support::cases
