// Cases of embeddings and of weights kept in 8 bits.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

// Scales of about a hundredth: the values then are of the size of a model's.
ValueId unpacked(CaseBuilder& c, const Shape& shape) {
    const Fill bytes{.kind = Fill::Kind::kIds, .limit = 256};
    const Fill scales{.kind = Fill::Kind::kPositive, .scale = 0.01, .offset = 0.005};
    const ValueId q = c.weight_of(DType::kU8, shape, bytes);
    return c.b().dequantize(q, c.weight_of(DType::kF32, Shape{shape[0]}, scales), c.dtype());
}

OpCase dequantize_case(const char* name, const Shape& shape) {
    return {
        name, OpKind::kDequantize, [=](CaseBuilder& c) { c.result(unpacked(c, shape)); }, 1, false};
}

std::vector<OpCase> quantized() {
    return {
        dequantize_case("dequantize/odd", {5, 7}),
        dequantize_case("dequantize/one", {1, 1}),
        dequantize_case("dequantize/pieces", {3, 48}),
        dequantize_case("dequantize/filter", {3, 5, 3, 3}),
        // In a step the gradient reads the weight too, made again for it.
        {"dequantize/linear",
         OpKind::kDequantize,
         [](CaseBuilder& c) {
             c.result(c.b().linear(c.operand({3, 24}), unpacked(c, {7, 24})));
         },
         24,
         false},
        {"dequantize/conv2d",
         OpKind::kDequantize,
         [](CaseBuilder& c) {
             c.result(c.b().conv2d(
                 c.image({2, 8, 5, 7}), unpacked(c, {16, 8, 3, 3}), {.pad = {1, 1, 1, 1}}));
         },
         72,
         false},
    };
}

}  // namespace

std::vector<OpCase> source() {
    std::vector<OpCase> all = {
        {"embedding/odd",
         OpKind::kEmbedding,
         [](CaseBuilder& c) {
             const Fill ids{.kind = Fill::Kind::kIds, .limit = 11};
             c.result(c.b().embedding(c.input({2, 3}, DType::kI32, ids), c.weight({11, 5})));
         },
         1,
         false},
        {"embedding/one",
         OpKind::kEmbedding,
         [](CaseBuilder& c) {
             const Fill ids{.kind = Fill::Kind::kIds, .limit = 1};
             c.result(c.b().embedding(c.input({1}, DType::kI32, ids), c.weight({1, 7})));
         },
         1,
         false},
        // Angles reach 1000 radians, where fp32 is 6e-5 apart: 1000 times the rounding of one.
        {"timestep_embedding/odd",
         OpKind::kTimestepEmbedding,
         [](CaseBuilder& c) {
             const Fill timesteps{.kind = Fill::Kind::kIds, .limit = 1000};
             c.result(
                 c.b().timestep_embedding(c.input({3}, DType::kF32, timesteps), 14, c.dtype()));
         },
         1,
         false,
         1000},
        {"timestep_embedding/one",
         OpKind::kTimestepEmbedding,
         [](CaseBuilder& c) {
             const Fill timesteps{.kind = Fill::Kind::kIds, .limit = 10};
             c.result(c.b().timestep_embedding(c.input({1}, DType::kF32, timesteps), 2, c.dtype()));
         },
         1,
         false,
         10},
    };
    for (OpCase& item : quantized()) all.push_back(std::move(item));
    return all;
}

}  // namespace lora::support::cases
