// The weighted loss, in two launches, and its gradient.
#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/loss_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

constexpr const char* kFile = "loss";

WeightedLossArgs shape_of(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    WeightedLossArgs args;
    args.rows = x.shape[0];
    args.length = args.rows == 0 ? 0 : x.shape.num_elements() / args.rows;
    args.parts = std::max<int64_t>(1, ceil_div(args.length, kLossPart));
    return args;
}

LossTerms terms_of(const NodeContext& c) {
    LossTerms terms;
    terms.kind = c.node.attrs.loss;
    if (c.has_input(3)) {
        LORA_CHECK(c.input(3).dtype == DType::kF32, "a mask is fp32");
        terms.mask = c.in_ptr<const float>(3);
        terms.mask_length = c.input(3).shape.num_elements() / c.input(3).shape[0];
    }
    if (c.has_input(4)) terms.c = c.in_ptr<const float>(4);
    return terms;
}

void check_types(const NodeContext& c) {
    LORA_CHECK(c.input(0).dtype == c.input(1).dtype, "prediction and target differ in type");
    LORA_CHECK(c.input(2).dtype == DType::kF32, "loss weights are fp32");
}

Launches forward_launches(const NodeContext& c) {
    const DType dtype = c.input(0).dtype;
    WeightedLossArgs args = shape_of(c.graph, c.node);
    args.terms = terms_of(c);
    args.prediction = c.in_ptr(0);
    args.target = c.in_ptr(1);
    args.weights = c.in_ptr<const float>(2);
    args.loss = c.out_ptr<float>(0);
    args.losses = c.out_ptr<float>(1);
    ScratchLayout layout(c.scratch);
    args.partial = layout.take<double>(args.rows * args.parts);
    const Extent extent = extent_of(
        args.rows, args.length, elements_per_piece(dtype), {args.prediction, args.target});
    args.aligned = extent.aligned;
    const Dim3 grid{narrow<uint32_t>(args.rows * args.parts), 1, 1};
    return {make_launch(kFile, kernel_name("weighted_loss", dtype), grid, kPieceThreads, args),
            make_launch(kFile, "weighted_loss_finish", {1, 1, 1}, kPieceThreads, args)};
}

Launches backward_launches(const NodeContext& c) {
    const DType dtype = c.output().dtype;
    const WeightedLossArgs shape = shape_of(c.graph, c.node);
    const int64_t per_piece = elements_per_piece(dtype);
    WeightedLossBackwardArgs args;
    args.terms = terms_of(c);
    args.prediction = c.in_ptr(0);
    args.target = c.in_ptr(1);
    args.weights = c.in_ptr<const float>(2);
    args.dst = c.out_ptr();
    args.extent =
        extent_of(shape.rows, shape.length, per_piece, {args.prediction, args.target, args.dst});
    args.factor =
        static_cast<float>(c.node.attrs.alpha / static_cast<double>(shape.rows * shape.length));
    return {make_launch(kFile,
                        kernel_name("weighted_loss_backward", dtype),
                        piece_grid(c.device, args.extent, per_piece),
                        kPieceThreads,
                        args)};
}

}  // namespace

size_t loss_scratch(const DeviceInfo& /*d*/, const ir::Graph& g, const ir::Node& n) {
    if (n.op != ir::OpKind::kWeightedLoss) return 0;
    const WeightedLossArgs args = shape_of(g, n);
    ScratchLayout layout;
    layout.take<double>(args.rows * args.parts);
    return layout.used();
}

Launches loss_launches(const NodeContext& c) {
    check_types(c);
    return c.node.op == ir::OpKind::kWeightedLoss ? forward_launches(c) : backward_launches(c);
}

}  // namespace lora::cuda
