// Cases of elementwise operators.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::Activation;
using ir::OpKind;
using ir::ValueId;

namespace {

OpCase activation_case(Activation activation, const Shape& shape) {
    return {"activation/" + std::string(ir::activation_name(activation)) + shape.to_string(),
            OpKind::kActivation,
            [=](CaseBuilder& c) {
                c.result(c.b().activation(c.operand(shape, {.scale = 2}), activation));
            }};
}

std::vector<OpCase> functions() {
    return {
        activation_case(Activation::kSilu, {3, 7}),
        activation_case(Activation::kGelu, {2, 3, 5}),
        activation_case(Activation::kQuickGelu, {5, 9}),
        activation_case(Activation::kSilu, {1}),
        {"geglu/odd",
         OpKind::kGeglu,
         [](CaseBuilder& c) {
             c.result(c.b().geglu(c.operand({2, 3, 14})));
         }},
        {"geglu/one",
         OpKind::kGeglu,
         [](CaseBuilder& c) {
             c.result(c.b().geglu(c.operand({1, 2})));
         }},
        {"geglu/wide",
         OpKind::kGeglu,
         [](CaseBuilder& c) {
             c.result(c.b().geglu(c.operand({5, 134})));
         }},
    };
}

std::vector<OpCase> sums() {
    return {
        {"add/same",
         OpKind::kAdd,
         [](CaseBuilder& c) {
             c.result(c.b().add(c.operand({3, 5}), c.operand({3, 5})));
         }},
        {"add/images",
         OpKind::kAdd,
         [](CaseBuilder& c) {
             c.result(c.b().add(c.image({2, 3, 5, 1}), c.image({2, 3, 5, 1})));
         }},
        {"add/broadcast",
         OpKind::kAdd,
         [](CaseBuilder& c) {
             c.result(c.b().add(c.operand({2, 3, 5}), c.weight({3, 5})));
         }},
        {"add/twice_the_same",
         OpKind::kAdd,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({1, 7});
             c.result(c.b().add(x, x));
         }},
        {"add/many_uses",
         OpKind::kAdd,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 7});
             const ValueId y = c.b().activation(x, Activation::kSilu);
             c.result(c.b().add(c.b().add(x, y), c.b().scale(x, -2)));
         }},
    };
}

std::vector<OpCase> products() {
    return {
        {"multiply/odd",
         OpKind::kMultiply,
         [](CaseBuilder& c) {
             c.result(c.b().multiply(c.operand({3, 5, 7}), c.operand({3, 5, 7})));
         }},
        {"multiply/images",
         OpKind::kMultiply,
         [](CaseBuilder& c) {
             c.result(c.b().multiply(c.image({2, 3, 5, 1}), c.image({2, 3, 5, 1})));
         }},
        {"multiply/row",
         OpKind::kMultiply,
         [](CaseBuilder& c) {
             c.result(c.b().multiply(c.operand({2, 5, 7}), c.operand({7})));
         },
         10},
        {"multiply/square",
         OpKind::kMultiply,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({1, 9});
             c.result(c.b().multiply(x, x));
         }},
        {"scale/odd",
         OpKind::kScale,
         [](CaseBuilder& c) {
             c.result(c.b().scale(c.operand({3, 3, 3}), -0.7));
         }},
    };
}

std::vector<OpCase> channel_and_row_sums() {
    return {
        {"add_channel/channels_last",
         OpKind::kAddChannel,
         [](CaseBuilder& c) {
             c.result(c.b().add_channel(c.image({2, 3, 4, 5}), c.operand({2, 3})));
         },
         20},
        {"add_channel/one_pixel",
         OpKind::kAddChannel,
         [](CaseBuilder& c) {
             c.result(c.b().add_channel(c.image({3, 5, 1, 1}), c.operand({3, 5})));
         }},
        {"add_channel/row_major",
         OpKind::kAddChannel,
         [](CaseBuilder& c) {
             c.result(c.b().add_channel(c.operand({1, 3, 2, 3}), c.operand({1, 3})));
         },
         6},
        {"mix_rows/odd",
         OpKind::kMixRows,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({3, 2, 3, 5});
             const ValueId y = c.operand({3, 2, 3, 5});
             c.result(c.b().mix_rows(x, y, c.input({3}, DType::kF32), c.input({3}, DType::kF32)));
         },
         1,
         false},
        {"mix_rows/one",
         OpKind::kMixRows,
         [](CaseBuilder& c) {
             c.result(c.b().mix_rows(c.operand({1, 1}),
                                     c.operand({1, 1}),
                                     c.input({1}, DType::kF32),
                                     c.input({1}, DType::kF32)));
         },
         1,
         false},
    };
}

// `axes` as in attrs.draw_axes. The last word of the key is negative as an I32.
OpCase dropout_case(const std::string& name, const Shape& shape, int axes, double probability) {
    return {"dropout/" + name, OpKind::kDropout, [=](CaseBuilder& c) {
                const ValueId key = c.input(
                    {4},
                    DType::kI32,
                    {.kind = Fill::Kind::kValues, .values = {1234567, -89, 4711, -2147483000}});
                c.result(c.b().dropout(c.operand(shape),
                                       key,
                                       {.probability = probability,
                                        .scale = 1 / (1 - probability),
                                        .axes = axes,
                                        .number = 11}));
            }};
}

std::vector<OpCase> dropouts() {
    return {
        dropout_case("elements", {3, 5, 7}, 7, 0.4),
        dropout_case("elements_even", {2, 16, 8}, 7, 0.25),
        dropout_case("sample_features", {3, 5, 7}, 5, 0.4),
        dropout_case("features", {3, 5, 7}, 1, 0.5),
        dropout_case("rows", {9, 7}, 4, 0.5),
        dropout_case("all", {2, 3, 5}, 0, 0.1),
        dropout_case("none", {2, 3, 5}, 7, 0),
        dropout_case("one_axis", {65}, 1, 0.5),
        dropout_case("one", {1, 1}, 7, 0.1),
    };
}

}  // namespace

std::vector<OpCase> elementwise() {
    std::vector<OpCase> all = functions();
    for (OpCase& item : dropouts()) all.push_back(std::move(item));
    for (OpCase& item : sums()) all.push_back(std::move(item));
    for (OpCase& item : products()) all.push_back(std::move(item));
    for (OpCase& item : channel_and_row_sums()) all.push_back(std::move(item));
    return all;
}

}  // namespace lora::support::cases
