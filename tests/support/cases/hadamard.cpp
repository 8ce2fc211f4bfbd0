// Cases of elementwise products of matrices of low rank: LoHa's change of a weight.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

constexpr Fill kSmall{.scale = 0.3};

OpCase alone(std::string name, int64_t rows, int64_t cols, int64_t first, int64_t second) {
    return {std::move(name),
            OpKind::kHadamard,
            [=](CaseBuilder& c) {
                c.result(c.b().hadamard({c.operand({rows, first}), c.operand({first, cols})},
                                        {c.operand({rows, second}), c.operand({second, cols})},
                                        0.5));
            },
            std::max(rows, cols)};
}

}  // namespace

std::vector<OpCase> hadamard() {
    return {
        alone("hadamard/odd", 7, 5, 3, 2),
        alone("hadamard/size_one", 1, 1, 1, 1),
        alone("hadamard/tiles", 136, 200, 32, 32),
        alone("hadamard/tiles_thin", 72, 144, 4, 4),
        alone("hadamard/tiles_wide", 40, 1224, 40, 72),
        {"hadamard/linear",
         OpKind::kHadamard,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 9, 24});
             const ValueId change =
                 c.b().hadamard({c.operand({16, 8}, kSmall), c.operand({8, 24}, kSmall)},
                                {c.operand({16, 8}, kSmall), c.operand({8, 24}, kSmall)});
             c.result(
                 c.b().linear(x, change, {.addend = c.b().linear(x, c.weight({16, 24}, kSmall))}));
         },
         64},
        {"hadamard/conv",
         OpKind::kHadamard,
         [](CaseBuilder& c) {
             const ValueId x = c.image({2, 8, 5, 6});
             const ValueId change =
                 c.b().hadamard({c.operand({16, 4}, kSmall), c.operand({4, 72}, kSmall)},
                                {c.operand({16, 4}, kSmall), c.operand({4, 72}, kSmall)});
             c.result(
                 c.b().conv2d(x, c.b().reshape(change, Shape{16, 8, 3, 3}), {.pad = {1, 1, 1, 1}}));
         },
         144},
    };
}

}  // namespace lora::support::cases
