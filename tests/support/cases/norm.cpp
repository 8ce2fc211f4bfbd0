// Cases of norms. Sets of one or two elements are left out: their gradient is zero but for
// cancellation.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::Activation;
using ir::OpKind;
using ir::ValueId;

namespace {

ir::NormArgs args(CaseBuilder& c, int64_t channels, int64_t groups, Activation activation) {
    ir::NormArgs result;
    result.gamma = c.weight({channels}, {.scale = 0.2, .offset = 1});
    result.beta = c.weight({channels}, {.scale = 0.5});
    result.groups = groups;
    result.activation = activation;
    return result;
}

OpCase group_norm(std::string name, const Shape& shape, int64_t groups, Activation activation) {
    const int64_t set = shape.num_elements() / shape[0] / groups;
    return {std::move(name),
            OpKind::kGroupNorm,
            [=](CaseBuilder& c) {
                c.result(c.b().group_norm(c.image(shape), args(c, shape[1], groups, activation)));
            },
            set};
}

}  // namespace

namespace {

// The weight and what is added to it are of the compute type, magnitudes are not.
OpCase dora_case(const std::string& name, const Shape& shape, const Fill& fill = {}) {
    return {"dora_scale/" + name,
            OpKind::kDoraScale,
            [=](CaseBuilder& c) {
                const DType dtype = c.dtype() == DType::kF64 ? DType::kF64 : DType::kF32;
                const ValueId v = c.operand(shape, fill);
                const ValueId m =
                    c.operand({shape[0]}, {.kind = Fill::Kind::kPositive, .offset = 1});
                c.result(c.b().dora_scale(v, c.b().cast(m, dtype), 1e-7));
            },
            shape.num_elements() / shape[0]};
}

}  // namespace

std::vector<OpCase> norm() {
    return {
        dora_case("odd", {3, 7}),
        dora_case("filter", {5, 3, 3, 3}),
        dora_case("one", {1, 1}, {.kind = Fill::Kind::kPositive, .offset = 0.5}),
        dora_case("long", {3, 1030}),
        group_norm("group_norm/odd", {2, 6, 3, 5}, 3, Activation::kNone),
        group_norm("group_norm/silu", {3, 10, 3, 2}, 5, Activation::kSilu),
        group_norm("group_norm/one_group", {1, 7, 3, 3}, 1, Activation::kSilu),
        group_norm("group_norm/one_channel_a_group", {2, 3, 3, 5}, 3, Activation::kNone),
        group_norm("group_norm/one_pixel", {2, 16, 1, 1}, 2, Activation::kNone),
        group_norm("group_norm/wide", {2, 64, 7, 9}, 32, Activation::kSilu),
        {"group_norm/then_activation",
         OpKind::kGroupNorm,
         [](CaseBuilder& c) {
             const ValueId x = c.image({2, 8, 3, 3});
             const ValueId h = c.b().group_norm(x, args(c, 8, 2, Activation::kNone));
             c.result(c.b().add(c.b().activation(h, Activation::kSilu), x));
         },
         36},
        {"layer_norm/odd",
         OpKind::kLayerNorm,
         [](CaseBuilder& c) {
             c.result(c.b().layer_norm(c.operand({2, 3, 7}), args(c, 7, 1, Activation::kNone)));
         },
         7},
        {"layer_norm/one_row",
         OpKind::kLayerNorm,
         [](CaseBuilder& c) {
             c.result(c.b().layer_norm(c.operand({1, 130}), args(c, 130, 1, Activation::kNone)));
         },
         130},
        {"layer_norm/residual",
         OpKind::kLayerNorm,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 5, 9});
             c.result(c.b().add(x, c.b().layer_norm(x, args(c, 9, 1, Activation::kNone))));
         },
         9},
    };
}

}  // namespace lora::support::cases
