// Cases of the optimizer's operators, which are fp32 whatever the compute type.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

OpCase clip_case(std::string name, double max_norm) {
    return {std::move(name),
            OpKind::kClipCoefficient,
            [=](CaseBuilder& c) {
                const ValueId sum =
                    c.input({}, DType::kF32, {.kind = Fill::Kind::kPositive, .offset = 4});
                const std::vector<ValueId> outputs =
                    c.b().node(OpKind::kClipCoefficient, {sum}, {.alpha = max_norm});
                c.result(outputs[0]);
                c.result(outputs[1]);
            },
            1,
            false};
}

OpCase adamw_case(std::string name, int64_t size, double weight_decay) {
    return {std::move(name),
            OpKind::kAdamW,
            [=](CaseBuilder& c) {
                const Fill positive{.kind = Fill::Kind::kPositive, .offset = 0.1};
                const ValueId p = c.state({size}, {});
                const ValueId g = c.state({size}, {});
                const ValueId m = c.state({size}, {});
                const ValueId v = c.state({size}, positive);
                const ValueId clip = c.input({}, DType::kF32, positive);
                const ValueId schedule = c.input({3}, DType::kF32, positive);
                c.b().node(
                    OpKind::kAdamW,
                    {p, g, m, v, clip, schedule},
                    {.eps = 1e-8, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = weight_decay});
            },
            1,
            false,
            4};  // a quotient of two roots: several fp32 roundings
}

}  // namespace

std::vector<OpCase> update() {
    return {
        {"sum_squares/odd",
         OpKind::kSumSquares,
         [](CaseBuilder& c) {
             c.result(
                 c.b().node(OpKind::kSumSquares, {c.input({1003}, DType::kF32), ir::kNoValue})[0]);
         },
         1,
         false},
        {"sum_squares/one_and_addend",
         OpKind::kSumSquares,
         [](CaseBuilder& c) {
             const ValueId x = c.input({1}, DType::kF32);
             const ValueId sum = c.input({}, DType::kF32, {.kind = Fill::Kind::kPositive});
             c.result(c.b().node(OpKind::kSumSquares, {x, sum})[0]);
         },
         1,
         false},
        clip_case("clip_coefficient/clips", 1),
        clip_case("clip_coefficient/leaves", 100),
        clip_case("clip_coefficient/off", 0),
        adamw_case("adamw/odd", 1003, 0.01),
        adamw_case("adamw/one", 1, 0),
    };
}

}  // namespace lora::support::cases
