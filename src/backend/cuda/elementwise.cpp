// Activations, geglu, sums, scales and the sums over pixels that are gradients of added channels.
#include <algorithm>
#include <cmath>

#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/elementwise_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr const char* kFile = "elementwise";
constexpr int64_t kMinSlabPixels = 4 * kSumRows;

template <typename Args>
Launch piece_launch(const NodeContext& c, const char* name, DType dtype, const Args& args) {
    return make_launch(kFile,
                       kernel_name(name, dtype),
                       piece_grid(c.device, args.extent, elements_per_piece(dtype)),
                       kPieceThreads,
                       args);
}

// dy may be absent: it is input 0 of the backward operator only.
Launch activation_launch(const NodeContext& c) {
    const bool backward = c.node.op == OpKind::kActivationBackward;
    const DType dtype = c.output().dtype;
    ActivationArgs args;
    args.dy = backward ? c.in_ptr(0) : nullptr;
    args.x = c.in_ptr(backward ? 1 : 0);
    args.dst = c.out_ptr();
    args.extent = extent_of(
        1, c.output().shape.num_elements(), elements_per_piece(dtype), {args.dy, args.x, args.dst});
    const bool scale = c.node.op == OpKind::kScale;
    args.function = scale ? 0 : static_cast<int>(c.node.attrs.activation);
    args.alpha = scale ? static_cast<float>(c.node.attrs.alpha) : 1.0F;
    return piece_launch(c, backward ? "activation_backward" : "activation", dtype, args);
}

Launch geglu_launch(const NodeContext& c) {
    const bool backward = c.node.op == OpKind::kGegluBackward;
    const ir::Value& narrow_side = backward ? c.input(0) : c.output();
    const int64_t length = narrow_side.shape[-1];
    GegluArgs args;
    args.dy = backward ? c.in_ptr(0) : nullptr;
    args.x = c.in_ptr(backward ? 1 : 0);
    args.dst = c.out_ptr();
    args.extent = extent_of(length == 0 ? 0 : narrow_side.shape.num_elements() / length,
                            length,
                            elements_per_piece(narrow_side.dtype),
                            {args.dy, args.x, args.dst});
    // The gate starts `length` elements after the value, even in a single row.
    if (length % elements_per_piece(narrow_side.dtype) != 0) args.extent.aligned = 0;
    return piece_launch(c, backward ? "geglu_backward" : "geglu", narrow_side.dtype, args);
}

AddArgs add_operands(const NodeContext& c, int64_t rows, int64_t length, int64_t rows_per_b) {
    AddArgs args;
    args.a = c.in_ptr(0);
    args.b = c.in_ptr(1);
    args.dst = c.out_ptr();
    args.rows_per_b = std::max<int64_t>(rows_per_b, 1);
    args.extent =
        extent_of(rows, length, elements_per_piece(c.output().dtype), {args.a, args.b, args.dst});
    return args;
}

// b repeats: all rows of a share it.
Launch pair_launch(const NodeContext& c, const char* name) {
    const int64_t length = c.input(1).shape.num_elements();
    const int64_t rows = length == 0 ? 0 : c.input(0).shape.num_elements() / length;
    return piece_launch(c, name, c.output().dtype, add_operands(c, rows, length, rows));
}

Launch add_channel_launch(const NodeContext& c) {
    const ir::Value& x = c.input(0);
    const int64_t images = x.shape[0];
    const int64_t channels = x.shape[1];
    const int64_t pixels = x.shape[2] * x.shape[3];
    if (x.layout == ir::Layout::kChannelsLast) {
        return piece_launch(c, "add", x.dtype, add_operands(c, images * pixels, channels, pixels));
    }
    // b is read element by element, so its alignment does not matter.
    AddArgs args = add_operands(c, images * channels, pixels, 1);
    args.extent =
        extent_of(images * channels, pixels, elements_per_piece(x.dtype), {args.a, args.dst});
    return piece_launch(c, "add_plane", x.dtype, args);
}

Launch mix_rows_launch(const NodeContext& c) {
    const ir::Value& x = c.input(0);
    const int64_t rows = x.shape[0];
    MixRowsArgs args;
    args.x = c.in_ptr(0);
    args.y = c.in_ptr(1);
    args.a = c.in_ptr<const float>(2);
    args.b = c.in_ptr<const float>(3);
    args.dst = c.out_ptr();
    LORA_CHECK(c.input(2).dtype == DType::kF32 && c.input(3).dtype == DType::kF32,
               "factors of rows are fp32");
    args.extent = extent_of(rows,
                            rows == 0 ? 0 : x.shape.num_elements() / rows,
                            elements_per_piece(x.dtype),
                            {args.x, args.y, args.dst});
    return piece_launch(c, "mix_rows", x.dtype, args);
}

Launch dropout_launch(const NodeContext& c) {
    const Shape& shape = c.input(0).shape;
    const int64_t size = shape.num_elements();
    const DType dtype = c.input(0).dtype;
    DropoutArgs args;
    args.x = c.in_ptr(0);
    args.key = c.in_ptr<const int32_t>(1);
    args.dst = c.out_ptr();
    args.alpha = static_cast<float>(c.node.attrs.alpha);
    args.extent = extent_of(1, size, elements_per_piece(dtype), {args.x, args.dst});
    args.draws = backend::dropout_draws(c.node.attrs, shape);
    return piece_launch(c, "dropout", dtype, args);
}

struct SumSpatial {
    SumSpatialArgs args;
    int64_t column_blocks = 0;
    bool channels_last = true;
};

SumSpatial sum_spatial_shape(const DeviceInfo& device, const ir::Value& x) {
    SumSpatial s;
    s.channels_last = x.layout == ir::Layout::kChannelsLast;
    s.args.images = x.shape[0];
    s.args.channels = x.shape[1];
    s.args.pixels = x.shape[2] * x.shape[3];
    s.column_blocks = ceil_div(s.args.channels, kSumColumns * elements_per_piece(x.dtype));
    const int64_t others = std::max<int64_t>(1, s.column_blocks * s.args.images);
    const int64_t wanted = ceil_div(int64_t{4} * device.num_multiprocessors, others);
    const int64_t slabs =
        std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, s.args.pixels / kMinSlabPixels));
    s.args.slab_pixels = std::max<int64_t>(1, ceil_div(s.args.pixels, slabs));
    s.args.slabs = std::max<int64_t>(1, ceil_div(s.args.pixels, s.args.slab_pixels));
    return s;
}

Launches sum_spatial_launches(const NodeContext& c) {
    const ir::Value& x = c.input(0);
    SumSpatial s = sum_spatial_shape(c.device, x);
    SumSpatialArgs& args = s.args;
    args.x = c.in_ptr(0);
    args.dst = c.out_ptr();
    const int64_t sums = args.images * args.channels;
    if (!s.channels_last) {
        return {make_launch(kFile,
                            kernel_name("sum_spatial_plane", x.dtype),
                            {narrow<uint32_t>(std::max<int64_t>(1, sums)), 1, 1},
                            kPieceThreads,
                            args)};
    }
    ScratchLayout layout(c.scratch);
    args.partial = layout.take<float>(sums * args.slabs);
    args.aligned =
        all_aligned({args.x}) && args.channels % elements_per_piece(x.dtype) == 0 ? 1 : 0;
    const Dim3 grid{narrow<uint32_t>(s.column_blocks),
                    narrow<uint32_t>(args.slabs),
                    narrow<uint32_t>(args.images)};
    const Dim3 finish{narrow<uint32_t>(ceil_div(sums, kPieceThreads)), 1, 1};
    return {
        make_launch(kFile, kernel_name("sum_spatial", x.dtype), grid, kSumColumns * kSumRows, args),
        make_launch(
            kFile, kernel_name("sum_spatial_finish", x.dtype), finish, kPieceThreads, args)};
}

}  // namespace

size_t elementwise_scratch(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    if (n.op != OpKind::kSumSpatial) return 0;
    const SumSpatial s = sum_spatial_shape(d, g.value(n.inputs[0]));
    if (!s.channels_last) return 0;
    ScratchLayout layout;
    layout.take<float>(s.args.images * s.args.channels * s.args.slabs);
    return layout.used();
}

Launches elementwise_launches(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kGeglu:
        case OpKind::kGegluBackward: return {geglu_launch(c)};
        case OpKind::kAdd: return {pair_launch(c, "add")};
        case OpKind::kMultiply: return {pair_launch(c, "multiply")};
        case OpKind::kAddChannel: return {add_channel_launch(c)};
        case OpKind::kSumSpatial: return sum_spatial_launches(c);
        case OpKind::kMixRows: return {mix_rows_launch(c)};
        case OpKind::kDropout: return {dropout_launch(c)};
        default: return {activation_launch(c)};
    }
}

}  // namespace lora::cuda
