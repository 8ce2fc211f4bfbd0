// Cases of linear layers and convolutions, frozen, trainable and with a LoRA beside them.
#include <algorithm>
#include <array>

#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

constexpr Fill kSmall{.scale = 0.3};

std::vector<OpCase> frozen_linears() {
    return {
        {"linear/bias",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({3, 5}), c.weight({7, 5}), {.bias = c.weight({7})}));
         },
         5},
        {"linear/size_one",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({1, 1}), c.weight({1, 1})));
         }},
        {"linear/one_row",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({1, 33}), c.weight({17, 33})));
         },
         33},
        {"linear/tokens_with_addend",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(
                 c.operand({2, 3, 10}),
                 c.weight({6, 10}),
                 {.bias = c.weight({6}), .addend = c.operand({2, 3, 6}), .alpha = 0.5}));
         },
         10},
        {"linear/transposed",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(
                 c.b().linear(c.operand({2, 3, 7}), c.weight({7, 9}), {.transpose_weight = true}));
         },
         9},
        {"linear/residual",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({5, 6});
             c.result(c.b().add(x, c.b().linear(x, c.weight({6, 6}), {.bias = c.weight({6})})));
         },
         6},
        {"linear/wide",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(
                 c.operand({67, 130}), c.weight({70, 130}, kSmall), {.bias = c.weight({70})}));
         },
         130},
    };
}

// Sizes that whole tiles, vectors and split sums can take, and that end within a tile.
std::vector<OpCase> large_products() {
    return {
        {"linear/tiles",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({2, 35, 136}),
                                   c.weight({176, 136}, kSmall),
                                   {.bias = c.weight({176}), .addend = c.operand({2, 35, 176})}));
         },
         176},
        {"linear/deep",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({9, 1224}, kSmall), c.weight({40, 1224}, kSmall)));
         },
         1224},
        {"linear/lora_tiles",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 163, 64});
             const ValueId frozen = c.b().linear(x, c.weight({168, 64}, kSmall));
             const ValueId down = c.b().linear(x, c.operand({8, 64}, kSmall));
             c.result(c.b().linear(
                 down, c.operand({168, 8}, kSmall), {.addend = frozen, .alpha = 0.25}));
         },
         326},
        {"linear/gradients_together",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({3, 87, 48});
             ValueId sum = c.b().linear(x, c.weight({40, 48}, kSmall));
             for (int i = 0; i < 3; ++i) {
                 const ValueId down = c.b().linear(x, c.operand({16, 48}, kSmall));
                 sum = c.b().linear(down, c.operand({40, 16}, kSmall), {.addend = sum});
             }
             c.result(c.b().linear(sum, c.operand({72, 40}, kSmall)));
         },
         261},
        {"conv2d/tiles",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({1, 64, 5, 5}),
                                   c.weight({192, 64, 3, 3}, kSmall),
                                   {.bias = c.weight({192}),
                                    .addend = c.image({1, 192, 5, 5}),
                                    .pad = {1, 1, 1, 1}}));
         },
         1728},
        {"conv2d/tiles_stride_two",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({1, 64, 9, 8}),
                                   c.weight({64, 64, 3, 3}, kSmall),
                                   {.bias = c.weight({64}), .stride = 2, .pad = {1, 1, 1, 1}}));
         },
         576},
        {"conv2d/tiles_stride_two_right_pad",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({1, 128, 6, 8}),
                                   c.weight({64, 128, 3, 3}, kSmall),
                                   {.stride = 2, .pad = {0, 0, 1, 1}}));
         },
         1152},
    };
}

// Strides whose gradients kernels take pixel by pixel of one parity: odd sizes, parities that no
// tap or no pixel has, filters of other sizes.
std::vector<OpCase> strides_of_two() {
    struct Row {
        const char* name;
        Shape x;
        Shape w;
        std::array<int64_t, 4> pad;
    };
    std::vector<OpCase> cases;
    for (const Row& row :
         {Row{"conv2d/parity_odd", {3, 72, 11, 7}, {72, 72, 3, 3}, {1, 1, 1, 1}},
          Row{"conv2d/parity_odd_right_pad", {2, 136, 7, 9}, {24, 136, 3, 3}, {0, 0, 1, 1}},
          Row{"conv2d/parity_pads_differ", {2, 8, 6, 5}, {16, 8, 3, 3}, {1, 0, 0, 1}},
          Row{"conv2d/parity_pointwise", {2, 72, 5, 7}, {24, 72, 1, 1}, {0, 0, 0, 0}},
          Row{"conv2d/parity_one_pixel", {5, 16, 1, 1}, {8, 16, 3, 3}, {1, 1, 1, 1}},
          Row{"conv2d/parity_even_filter", {1, 40, 9, 10}, {32, 40, 4, 4}, {1, 1, 1, 1}},
          Row{"conv2d/parity_wide_filter", {1, 16, 10, 9}, {8, 16, 5, 5}, {2, 2, 2, 2}},
          Row{"conv2d/parity_deep", {1, 32, 8, 8}, {640, 32, 3, 3}, {1, 1, 1, 1}}}) {
        cases.push_back({row.name,
                         OpKind::kConv2d,
                         [row](CaseBuilder& c) {
                             c.result(c.b().conv2d(c.image(row.x),
                                                   c.weight(row.w, kSmall),
                                                   {.stride = 2, .pad = row.pad}));
                         },
                         std::max(row.w[0], row.w[1]) * row.w[2] * row.w[3]});
    }
    return cases;
}

std::vector<OpCase> trainable_linears() {
    return {
        {"linear/trainable",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({2, 3, 5}), c.operand({4, 5}), {.alpha = 2}));
         },
         6},
        {"linear/trainable_tiles",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({2, 99, 144}), c.operand({264, 144}, kSmall)));
         },
         198},
        {"linear/trainable_transposed",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             c.result(c.b().linear(
                 c.operand({3, 5}), c.operand({5, 4}), {.alpha = 0.5, .transpose_weight = true}));
         },
         5},
        {"linear/shared_weight",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             const ValueId w = c.operand({5, 5}, kSmall);
             c.result(c.b().linear(c.b().linear(c.operand({3, 5}), w), w));
         },
         5},
        {"linear/lora",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 5, 9});
             const ValueId frozen = c.b().linear(x, c.weight({7, 9}), {.bias = c.weight({7})});
             const ValueId down = c.b().linear(x, c.operand({3, 9}, kSmall));
             c.result(
                 c.b().linear(down, c.operand({7, 3}, kSmall), {.addend = frozen, .alpha = 0.25}));
         },
         10},
        {"linear/lora_rank_one",
         OpKind::kLinear,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({1, 4});
             const ValueId frozen = c.b().linear(x, c.weight({2, 4}));
             const ValueId down = c.b().linear(x, c.operand({1, 4}));
             c.result(c.b().linear(down, c.operand({2, 1}), {.addend = frozen}));
         },
         4},
    };
}

std::vector<OpCase> frozen_convs() {
    return {
        {"conv2d/3x3",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({2, 5, 6, 7}),
                                   c.weight({3, 5, 3, 3}),
                                   {.bias = c.weight({3}), .pad = {1, 1, 1, 1}}));
         },
         45},
        {"conv2d/stride_two",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({1, 3, 7, 8}),
                                   c.weight({5, 3, 3, 3}),
                                   {.bias = c.weight({5}), .stride = 2, .pad = {1, 1, 1, 1}}));
         },
         45},
        {"conv2d/stride_two_right_pad",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({2, 3, 6, 8}),
                                   c.weight({4, 3, 3, 3}),
                                   {.stride = 2, .pad = {0, 0, 1, 1}}));
         },
         36},
        {"conv2d/1x1",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(
                 c.image({3, 7, 3, 5}), c.weight({9, 7, 1, 1}), {.bias = c.weight({9})}));
         },
         9},
        {"conv2d/one_pixel",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(
                 c.image({1, 1, 1, 1}), c.weight({1, 1, 3, 3}), {.pad = {1, 1, 1, 1}}));
         },
         9},
        {"conv2d/addend",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(
                 c.image({2, 4, 3, 4}),
                 c.weight({6, 4, 3, 3}),
                 {.bias = c.weight({6}), .addend = c.image({2, 6, 3, 4}), .pad = {1, 1, 1, 1}}));
         },
         54},
        {"conv2d/residual",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             const ValueId x = c.image({2, 4, 3, 5});
             const ValueId y = c.b().conv2d(x, c.weight({4, 4, 3, 3}), {.pad = {1, 1, 1, 1}});
             c.result(c.b().add(x, y));
         },
         36},
        {"conv2d/wide",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({2, 34, 9, 9}),
                                   c.weight({40, 34, 3, 3}, kSmall),
                                   {.bias = c.weight({40}), .pad = {1, 1, 1, 1}}));
         },
         360},
    };
}

std::vector<OpCase> trainable_convs() {
    return {
        {"conv2d/trainable",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(
                 c.image({2, 3, 4, 5}), c.operand({4, 3, 3, 3}), {.pad = {1, 1, 1, 1}}));
         },
         40},
        {"conv2d/trainable_stride_two",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({2, 3, 5, 5}),
                                   c.operand({2, 3, 3, 3}),
                                   {.stride = 2, .pad = {1, 1, 1, 1}}));
         },
         27},
        {"conv2d/trainable_tiles",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({2, 64, 7, 6}),
                                   c.operand({136, 64, 3, 3}, kSmall),
                                   {.pad = {1, 1, 1, 1}}));
         },
         576},
        {"conv2d/trainable_tiles_stride_two",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({2, 128, 8, 9}),
                                   c.operand({72, 128, 3, 3}, kSmall),
                                   {.stride = 2, .pad = {1, 1, 1, 1}}));
         },
         1152},
        {"conv2d/thin",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(
                 c.image({2, 24, 7, 5}), c.operand({4, 24, 3, 3}, kSmall), {.pad = {1, 1, 1, 1}}));
         },
         216},
        {"conv2d/thin_stride_two",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(c.image({1, 16, 9, 8}),
                                   c.operand({3, 16, 3, 3}, kSmall),
                                   {.stride = 2, .pad = {0, 0, 1, 1}}));
         },
         144},
        {"conv2d/thin_together",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             const ValueId x = c.image({2, 8, 5, 6});
             ValueId sum = c.b().conv2d(x, c.weight({16, 8, 3, 3}, kSmall), {.pad = {1, 1, 1, 1}});
             for (int i = 0; i < 2; ++i) {
                 const ValueId down =
                     c.b().conv2d(x, c.operand({4, 8, 3, 3}, kSmall), {.pad = {1, 1, 1, 1}});
                 sum = c.b().conv2d(down, c.operand({16, 4, 1, 1}, kSmall), {.addend = sum});
             }
             c.result(sum);
         },
         144},
        {"conv2d/lora",
         OpKind::kConv2d,
         [](CaseBuilder& c) {
             const ValueId x = c.image({2, 5, 4, 3});
             const ValueId frozen = c.b().conv2d(x, c.weight({6, 5, 3, 3}), {.pad = {1, 1, 1, 1}});
             const ValueId down =
                 c.b().conv2d(x, c.operand({2, 5, 3, 3}, kSmall), {.pad = {1, 1, 1, 1}});
             c.result(c.b().conv2d(down, c.operand({6, 2, 1, 1}, kSmall), {.addend = frozen}));
         },
         54},
    };
}

}  // namespace

std::vector<OpCase> product() {
    std::vector<OpCase> all = frozen_linears();
    for (const auto list :
         {trainable_linears, frozen_convs, trainable_convs, large_products, strides_of_two}) {
        for (OpCase& item : list()) all.push_back(std::move(item));
    }
    return all;
}

}  // namespace lora::support::cases
