// Gradient norm, clipping and AdamW over flat ranges.
#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/update_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr const char* kFile = "update";
constexpr int64_t kMostParts = 1024;
constexpr int64_t kPartElements = 4096;  // fewer are not worth a block
constexpr int64_t kAdamWPiece = 4;

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

Launch adamw_launch(const NodeContext& c) {
    const ir::Attributes& attrs = c.node.attrs;
    AdamWArgs args;
    args.p = c.in_ptr<float>(0);
    args.g = c.in_ptr<const float>(1);
    args.m = c.in_ptr<float>(2);
    args.v = c.in_ptr<float>(3);
    args.clip = c.in_ptr<const float>(4);
    args.schedule = c.in_ptr<const float>(5);
    args.beta1 = static_cast<float>(attrs.beta1);
    args.one_minus_beta1 = static_cast<float>(1 - attrs.beta1);
    args.beta2 = static_cast<float>(attrs.beta2);
    args.one_minus_beta2 = static_cast<float>(1 - attrs.beta2);
    args.eps = static_cast<float>(attrs.eps);
    args.weight_decay = static_cast<float>(attrs.weight_decay);
    args.extent = extent_of(
        1, c.input(0).shape.num_elements(), kAdamWPiece, {args.p, args.g, args.m, args.v});
    return make_launch(
        kFile, "adamw", piece_grid(c.device, args.extent, kAdamWPiece), kPieceThreads, args);
}

}  // namespace

size_t update_scratch(const DeviceInfo& /*d*/, const ir::Graph& g, const ir::Node& n) {
    if (n.op != OpKind::kSumSquares) return 0;
    ScratchLayout layout;
    layout.take<double>(num_parts(g.value(n.inputs[0]).shape.num_elements()));
    return layout.used();
}

Launches update_launches(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kSumSquares: return sum_squares_launches(c);
        case OpKind::kClipCoefficient: return {clip_launch(c)};
        default: return {adamw_launch(c)};
    }
}

}  // namespace lora::cuda
