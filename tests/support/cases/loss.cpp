// Cases of the loss.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::LossKind;
using ir::OpKind;
using ir::ValueId;

namespace {

struct LossCase {
    Shape shape;
    bool channels_last = false;
    LossKind kind = LossKind::kL2;
    Shape mask = {};  // no axes: none
};

OpCase loss_case(const std::string& name, const LossCase& l) {
    return {"weighted_loss/" + name,
            OpKind::kWeightedLoss,
            [=](CaseBuilder& c) {
                const ValueId prediction = l.channels_last ? c.image(l.shape) : c.operand(l.shape);
                ValueId target = c.input(l.shape, c.dtype());
                const Fill positive{.kind = Fill::Kind::kPositive, .offset = 0.5};
                const ValueId weights = c.input({l.shape[0]}, DType::kF32, positive);
                ir::Builder::LossArgs args{.kind = l.kind};
                const Fill fraction{.kind = Fill::Kind::kPositive};
                if (l.mask.num_axes() > 0) args.mask = c.input(l.mask, DType::kF32, fraction);
                if (l.channels_last) {
                    target = c.b().reorder(target, ir::Layout::kChannelsLast);
                    if (args.mask.valid()) {
                        args.mask = c.b().reorder(args.mask, ir::Layout::kChannelsLast);
                    }
                }
                if (l.kind == LossKind::kHuber || l.kind == LossKind::kSmoothL1) {
                    args.c = c.input(
                        {l.shape[0]}, DType::kF32, {.kind = Fill::Kind::kPositive, .offset = 0.1});
                }
                const ir::Builder::Loss loss =
                    c.b().weighted_loss(prediction, target, weights, args);
                c.result(loss.loss);
                c.result(loss.losses);
            },
            l.shape.num_elements()};
}

}  // namespace

std::vector<OpCase> loss() {
    return {
        loss_case("odd", {.shape = {3, 7}}),
        loss_case("one", {.shape = {1, 1}}),
        loss_case("one_axis", {.shape = {5}}),
        loss_case("latents", {.shape = {2, 4, 3, 5}}),
        loss_case("channels_last", {.shape = {2, 3, 5, 3}, .channels_last = true}),
        loss_case("huber", {.shape = {3, 4, 3, 5}, .kind = LossKind::kHuber}),
        loss_case("huber_one", {.shape = {1, 1}, .kind = LossKind::kHuber}),
        loss_case("smooth_l1", {.shape = {2, 4, 2, 7}, .kind = LossKind::kSmoothL1}),
        loss_case("l1", {.shape = {2, 4, 3, 3}, .kind = LossKind::kL1}),
        loss_case("masked", {.shape = {2, 4, 3, 5}, .mask = {2, 1, 3, 5}}),
        loss_case("masked_whole", {.shape = {3, 7}, .mask = {3, 7}}),
        loss_case("masked_channels_last",
                  {.shape = {2, 3, 5, 3}, .channels_last = true, .mask = {2, 3, 5, 3}}),
        loss_case("masked_huber",
                  {.shape = {2, 4, 64, 72}, .kind = LossKind::kHuber, .mask = {2, 64, 72}}),
    };
}

}  // namespace lora::support::cases
