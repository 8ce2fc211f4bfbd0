// Gradient norm, clipping and the optimizer's methods over the flat parameters.
#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/update_args.h"
#include "backend/update_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr const char* kFile = "update";
constexpr const char* kStepFile = "update_step";
constexpr int64_t kMostParts = 1024;
constexpr int64_t kPartElements = 4096;  // fewer are not worth a block
constexpr uint32_t kFactoredThreads = 512;

// Depends on the size alone, so that every card adds in the same order.
int64_t num_parts(int64_t size) {
    return std::clamp<int64_t>(ceil_div(size, kPartElements), 1, kMostParts);
}

Launches sum_squares_launches(const NodeContext& c) {
    const ir::Value& x = c.input(0);
    const int64_t size = x.shape.num_elements();
    SumSquaresArgs args;
    args.x = c.in_ptr(0);
    args.extent = extent_of(1, size, elements_per_piece(x.dtype), {args.x});
    if (c.has_input(1)) {
        LORA_CHECK(c.input(1).dtype == DType::kF32, "a sum of squares is fp32");
        args.addend = c.in_ptr<const float>(1);
    }
    args.sum = c.out_ptr<float>();
    args.parts = num_parts(size);
    ScratchLayout layout(c.scratch);
    args.partial = layout.take<double>(args.parts);
    const Dim3 grid{narrow<uint32_t>(args.parts), 1, 1};
    return {make_launch(kFile, kernel_name("sum_squares", x.dtype), grid, kPieceThreads, args),
            make_launch(kFile, "sum_squares_finish", {1, 1, 1}, kPieceThreads, args)};
}

Launch clip_launch(const NodeContext& c) {
    ClipCoefficientArgs args;
    args.sum_squares = c.in_ptr<const float>(0);
    args.coefficient = c.out_ptr<float>(0);
    args.norm = c.out_ptr<float>(1);
    args.max_norm = c.node.attrs.alpha;
    return make_launch(kFile, "clip_coefficient", {1, 1, 1}, 1, args);
}

backend::UpdateArgs update_args(const NodeContext& c) {
    backend::UpdateArgs args;
    args.p = c.in_ptr<float>(0);
    args.g = c.in_ptr<const float>(1);
    args.aligned = all_aligned({args.p, args.g}) ? 1 : 0;
    for (int i = 0; i < backend::kMaxUpdateStates; ++i) {
        args.s[i] = c.in_ptr<float>(2 + i);
        if (!all_aligned({args.s[i]})) args.aligned = 0;
    }
    args.clip = c.in_ptr<const float>(7);
    args.schedule = c.in_ptr<const float>(8);
    args.pieces = c.in_ptr<const int32_t>(9);
    args.scalars = c.in_ptr<const float>(10);
    args.num_pieces = c.input(9).shape[0];
    args.k = backend::update_constants(c.node.attrs.update);
    return args;
}

std::string rule_kernel(const char* name, const NodeContext& c) {
    return std::string(name) + "_" + std::string(update_rule_name(c.node.attrs.update.rule));
}

Dim3 blocks(int64_t count) { return {narrow<uint32_t>(count), 1, 1}; }

Launch globals_launch(const NodeContext& c) {
    backend::UpdateGlobalsArgs args;
    args.rule = c.node.attrs.update.rule;
    args.globals = c.in_ptr<float>(0);
    args.schedule = c.in_ptr<const float>(1);
    args.sums = c.in_ptr<const float>(2);
    args.sum_squares = c.in_ptr<const float>(3);
    args.clip = c.in_ptr<const float>(4);
    args.scalars = c.out_ptr<float>(0);
    args.k = backend::update_constants(c.node.attrs.update);
    return make_launch(kStepFile, "update_globals", {1, 1, 1}, 1, args);
}

Launches sums_launches(const NodeContext& c) {
    backend::UpdateArgs args = update_args(c);
    args.sums = c.out_ptr<float>(0);
    ScratchLayout layout(c.scratch);
    args.partial = layout.take<double>(args.num_pieces * backend::kNumUpdateSums);
    return {
        make_launch(
            kStepFile, rule_kernel("update_sums", c), blocks(args.num_pieces), kPieceThreads, args),
        make_launch(kStepFile, "update_sums_finish", {1, 1, 1}, kPieceThreads, args)};
}

Launch step_launch(const NodeContext& c) {
    const backend::UpdateArgs args = update_args(c);
    return make_launch(
        kStepFile, rule_kernel("update_step", c), blocks(args.num_pieces), kPieceThreads, args);
}

Launch step_8bit_launch(const NodeContext& c) {
    backend::Update8bitArgs args;
    args.p = c.in_ptr<float>(0);
    args.g = c.in_ptr<const float>(1);
    for (int i = 0; i < 2; ++i) {
        args.q[i] = c.in_ptr<uint8_t>(2 + 2 * i);
        args.absmax[i] = c.in_ptr<float>(3 + 2 * i);
    }
    args.clip = c.in_ptr<const float>(6);
    args.schedule = c.in_ptr<const float>(7);
    args.pieces = c.in_ptr<const int32_t>(8);
    args.maps = c.in_ptr<const float>(9);
    args.k = backend::update_constants(c.node.attrs.update);
    args.k.decay_last = 1;
    return make_launch(kStepFile,
                       rule_kernel("update_step_8bit", c),
                       blocks(c.input(8).shape[0]),
                       kPieceThreads,
                       args);
}

Launch factored_launch(const NodeContext& c) {
    backend::UpdateFactoredArgs args;
    args.p = c.in_ptr<float>(0);
    args.g = c.in_ptr<const float>(1);
    args.row = c.in_ptr<float>(2);
    args.col = c.in_ptr<float>(3);
    args.m = c.in_ptr<float>(4);
    args.res_row = c.in_ptr<float>(5);
    args.res_col = c.in_ptr<float>(6);
    args.clip = c.in_ptr<const float>(7);
    args.schedule = c.in_ptr<const float>(8);
    args.tensors = c.in_ptr<const int32_t>(9);
    args.num_tensors = c.input(9).shape[0];
    ScratchLayout layout(c.scratch);
    args.direction = layout.take<float>(c.input(0).shape.num_elements());
    args.mean = layout.take<float>(c.input(0).shape.num_elements());
    args.is_came = c.node.attrs.update.rule == ir::UpdateRule::kCame ? 1 : 0;
    args.k = backend::update_constants(c.node.attrs.update);
    return make_launch(
        "update_factored", "update_factored", blocks(args.num_tensors), kFactoredThreads, args);
}

Launch limit_norm_launch(const NodeContext& c) {
    LimitNormArgs args;
    args.factors = 0;
    int64_t largest = 1;
    for (int i = 0; i < ir::kMostLimitFactors; ++i) {
        if (!c.has_input(i)) continue;
        args.values[i] = c.in_ptr<float>(i);
        args.sizes[i] = c.input(i).shape.num_elements();
        largest = std::max(largest, args.sizes[i]);
        ++args.factors;
    }
    args.sum_squares = c.in_ptr<const float>(6);
    args.stats = c.in_ptr<float>(7);
    args.most = c.node.attrs.alpha;
    return make_launch(kFile, "limit_norm", piece_grid(c.device, largest), kPieceThreads, args);
}

}  // namespace

size_t update_scratch(const DeviceInfo& /*d*/, const ir::Graph& g, const ir::Node& n) {
    const auto size = [&](size_t i) { return g.value(n.inputs[i]).shape.num_elements(); };
    ScratchLayout layout;
    if (n.op == OpKind::kSumSquares) layout.take<double>(num_parts(size(0)));
    if (n.op == OpKind::kUpdateSums) layout.take<double>(size(9));  // four numbers a row of four
    if (n.op == OpKind::kUpdateFactored) {
        layout.take<float>(size(0));
        layout.take<float>(size(0));
    }
    return layout.used();
}

Launches update_launches(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kSumSquares: return sum_squares_launches(c);
        case OpKind::kClipCoefficient: return {clip_launch(c)};
        case OpKind::kUpdateGlobals: return {globals_launch(c)};
        case OpKind::kUpdateSums: return sums_launches(c);
        case OpKind::kUpdateStep: return {step_launch(c)};
        case OpKind::kUpdateStep8bit: return {step_8bit_launch(c)};
        case OpKind::kLimitNorm: return {limit_norm_launch(c)};
        default: return {factored_launch(c)};
    }
}

}  // namespace lora::cuda
