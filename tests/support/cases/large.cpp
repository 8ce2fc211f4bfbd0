// Shapes of Stable Diffusion 1.5 at 512 x 512, batch 1: what a step spends its time in.
#include "support/op_case.h"

namespace lora::support {

using ir::OpKind;
using ir::ValueId;

namespace {

constexpr Fill kWeight{.scale = 0.02};

OpCase linear(std::string name, int64_t rows, int64_t in, int64_t out) {
    return {
        std::move(name),
        OpKind::kLinear,
        [=](CaseBuilder& c) {
            c.result(c.b().linear(
                c.operand({1, rows, in}), c.weight({out, in}, kWeight), {.bias = c.weight({out})}));
        },
        in};
}

OpCase lora_linear(std::string name, int64_t rows, int64_t size) {
    return {std::move(name),
            OpKind::kLinear,
            [=](CaseBuilder& c) {
                const ValueId x = c.operand({1, rows, size});
                const ValueId frozen = c.b().linear(x, c.weight({size, size}, kWeight));
                const ValueId down = c.b().linear(x, c.operand({32, size}, kWeight));
                c.result(c.b().linear(down, c.operand({size, 32}, kWeight), {.addend = frozen}));
            },
            size};
}

OpCase conv3x3(std::string name, int64_t in, int64_t out, int64_t side) {
    return {std::move(name),
            OpKind::kConv2d,
            [=](CaseBuilder& c) {
                c.result(c.b().conv2d(c.image({1, in, side, side}),
                                      c.weight({out, in, 3, 3}, kWeight),
                                      {.bias = c.weight({out}), .pad = {1, 1, 1, 1}}));
            },
            9 * in};
}

OpCase group_norm(std::string name, int64_t channels, int64_t side) {
    return {std::move(name),
            OpKind::kGroupNorm,
            [=](CaseBuilder& c) {
                c.result(c.b().group_norm(c.image({1, channels, side, side}),
                                          {.gamma = c.weight({channels}),
                                           .beta = c.weight({channels}),
                                           .activation = ir::Activation::kSilu}));
            },
            channels / 32 * side * side};
}

OpCase attention(std::string name, int64_t queries, int64_t keys, int64_t channels) {
    return {std::move(name),
            OpKind::kAttention,
            [=](CaseBuilder& c) {
                const ValueId q = c.operand({1, queries, channels});
                const ValueId k = c.operand({1, keys, channels});
                const ValueId v = c.operand({1, keys, channels});
                c.result(c.b().attention(q, k, v, {.heads = 8}).output);
            },
            keys};
}

}  // namespace

std::vector<OpCase> large_cases() {
    return {
        linear("linear/sd15_to_q_64", 4096, 320, 320),
        linear("linear/sd15_geglu_64", 4096, 320, 2560),
        linear("linear/sd15_to_k_context", 225, 768, 1280),
        linear("linear/sd15_ff_16", 256, 5120, 1280),
        lora_linear("linear/sd15_lora_64", 4096, 320),
        lora_linear("linear/sd15_lora_16", 256, 1280),
        conv3x3("conv2d/sd15_320_64", 320, 320, 64),
        conv3x3("conv2d/sd15_640_32", 640, 640, 32),
        conv3x3("conv2d/sd15_1280_16", 1280, 1280, 16),
        conv3x3("conv2d/sd15_1280_8", 1280, 1280, 8),
        conv3x3("conv2d/sd15_up_64", 960, 320, 64),
        group_norm("group_norm/sd15_320_64", 320, 64),
        group_norm("group_norm/sd15_1280_16", 1280, 16),
        attention("attention/sd15_self_64", 4096, 4096, 320),
        attention("attention/sd15_cross_64", 4096, 225, 320),
        attention("attention/sd15_self_32", 1024, 1024, 640),
        {"layer_norm/sd15_64",
         OpKind::kLayerNorm,
         [](CaseBuilder& c) {
             c.result(c.b().layer_norm(c.operand({1, 4096, 320}),
                                       {.gamma = c.weight({320}), .beta = c.weight({320})}));
         },
         320},
        {"geglu/sd15_64",
         OpKind::kGeglu,
         [](CaseBuilder& c) {
             c.result(c.b().geglu(c.operand({1, 4096, 2560})));
         }},
        {"upsample2x/sd15_32",
         OpKind::kUpsample2x,
         [](CaseBuilder& c) {
             c.result(c.b().upsample2x(c.image({1, 640, 32, 32})));
         }},
        {"concat/sd15_64",
         OpKind::kConcat,
         [](CaseBuilder& c) {
             c.result(c.b().concat(c.image({1, 640, 64, 64}), c.image({1, 320, 64, 64}), 1));
         }},
    };
}

}  // namespace lora::support
