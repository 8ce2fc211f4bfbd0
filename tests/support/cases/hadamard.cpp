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

// A weight with a change, as LoHa's layers have it.
OpCase added(std::string name, int64_t rows, int64_t cols, int64_t rank) {
    return {std::move(name),
            OpKind::kHadamard,
            [=](CaseBuilder& c) {
                const ValueId x = c.operand({2, 9, cols});
                const ValueId w = c.b().hadamard(
                    {c.operand({rows, rank}, kSmall), c.operand({rank, cols}, kSmall)},
                    {c.operand({rows, rank}, kSmall), c.operand({rank, cols}, kSmall)},
                    0.5,
                    c.operand({rows, cols}, kSmall));
                c.result(c.b().linear(x, w));
            },
            std::max(rows, cols)};
}

struct Filter {
    int64_t out = 0;
    int64_t in = 0;
    int64_t kernel = 0;
    int64_t rank = 0;
    int64_t stride = 1;
};
OpCase added_filter(std::string name, const Filter& f) {
    return {
        std::move(name),
        OpKind::kHadamard,
        [=](CaseBuilder& c) {
            const int64_t cols = f.in * f.kernel * f.kernel;
            const ValueId w = c.b().hadamard(
                {c.operand({f.out, f.rank}, kSmall), c.operand({f.rank, cols}, kSmall)},
                {c.operand({f.out, f.rank}, kSmall), c.operand({f.rank, cols}, kSmall)},
                0.5,
                c.weight({f.out, f.in, f.kernel, f.kernel}, kSmall));
            const int64_t pad = f.kernel / 2;
            c.result(c.b().conv2d(
                c.image({2, f.in, 10, 12}), w, {.stride = f.stride, .pad = {pad, pad, pad, pad}}));
        },
        f.in * f.kernel * f.kernel};
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
        added("hadamard/added", 16, 24, 8),
        added("hadamard/added_odd", 7, 5, 3),
        added("hadamard/added_tiles", 136, 200, 32),
        added("hadamard/added_wide", 40, 1224, 72),
        added("hadamard/added_deep", 16, 24, 700),
        added_filter("hadamard/filter", {.out = 16, .in = 8, .kernel = 3, .rank = 4}),
        added_filter("hadamard/filter_odd", {.out = 5, .in = 7, .kernel = 3, .rank = 3}),
        added_filter("hadamard/filter_tiles", {.out = 64, .in = 128, .kernel = 3, .rank = 4}),
        added_filter("hadamard/filter_strided",
                     {.out = 24, .in = 16, .kernel = 3, .rank = 40, .stride = 2}),
        added_filter("hadamard/filter_pointwise", {.out = 16, .in = 24, .kernel = 1, .rank = 4}),
    };
}

}  // namespace lora::support::cases
