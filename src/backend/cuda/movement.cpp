// Movement of elements: layouts, types, joins, cuts and nearest-neighbour resizing.
// Copies move the largest unit (16, 4 or 2 bytes) that divides every stretch and address.
#include <initializer_list>
#include <string>

#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/movement_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr const char* kFile = "movement";
constexpr int64_t kCastSize = 8;  // elements a thread casts at once

int64_t element_bytes(const ir::Value& value) {
    return static_cast<int64_t>(dtype_bytes(value.dtype));
}

// `bytes`: every length and distance of the copy.
int64_t unit_bytes(std::initializer_list<int64_t> bytes,
                   std::initializer_list<const void*> operands) {
    for (const int64_t unit : {int64_t{16}, int64_t{4}, int64_t{2}}) {
        bool fits = true;
        for (const int64_t length : bytes) fits = fits && length % unit == 0;
        for (const void* p : operands) {
            fits = fits && reinterpret_cast<DevicePtr>(p) % static_cast<DevicePtr>(unit) == 0;
        }
        if (fits) return unit;
    }
    throw Error(ErrorCode::kDevice, "the cuda backend copies elements of 2 or 4 bytes");
}

std::string unit_name(const char* name, int64_t unit) {
    return std::string(name) + "_b" + std::to_string(unit);
}

Launch cast_launch(const NodeContext& c) {
    CastArgs args;
    args.src = c.in_ptr(0);
    args.dst = c.out_ptr();
    args.extent = extent_of(1, c.output().shape.num_elements(), kCastSize, {args.src, args.dst});
    const std::string dst = suffix_of(c.output().dtype);
    args.dst_type = dst == "f32" ? 0 : dst == "bf16" ? 1 : 2;
    args.accumulate = c.node.attrs.accumulate ? 1 : 0;
    return make_launch(kFile,
                       kernel_name("cast", c.input(0).dtype),
                       piece_grid(c.device, args.extent, kCastSize),
                       kPieceThreads,
                       args);
}

// `args` counts in bytes.
Launch join_launch(const NodeContext& c, JoinArgs args) {
    const JoinPart* p = args.parts;
    const int64_t unit = unit_bytes({p[0].length,
                                     p[1].length,
                                     p[2].length,
                                     p[0].src_row,
                                     p[1].src_row,
                                     p[0].src_begin,
                                     args.length},
                                    {p[0].src, p[1].src, args.dst});
    for (JoinPart& part : args.parts) {
        part.length /= unit;
        part.src_row /= unit;
        part.src_begin /= unit;
    }
    args.length /= unit;
    return make_launch(kFile,
                       unit_name("join", unit),
                       piece_grid(c.device, args.rows * args.length),
                       kPieceThreads,
                       args);
}

JoinArgs rows_of(const NodeContext& c) {
    const ir::Value& y = c.output();
    const ir::AxisSpan span = ir::axis_span(y.shape, y.layout, c.node.attrs.axis);
    JoinArgs args;
    args.dst = c.out_ptr();
    args.rows = span.outer;
    args.length = span.size * span.inner * element_bytes(y);
    return args;
}

// Bytes of input i's rows along the node's axis, and of one step along it.
struct SourceRow {
    int64_t length = 0;
    int64_t step = 0;
};
SourceRow source_row(const NodeContext& c, int i) {
    const ir::Value& x = c.input(i);
    const ir::AxisSpan span = ir::axis_span(x.shape, x.layout, c.node.attrs.axis);
    const int64_t step = span.inner * element_bytes(x);
    return {span.size * step, step};
}

Launch concat_launch(const NodeContext& c) {
    JoinArgs args = rows_of(c);
    for (int i = 0; i < 2; ++i) {
        const SourceRow row = source_row(c, i);
        args.parts[i] = {c.in_ptr(i), row.length, row.length, 0};
    }
    return join_launch(c, args);
}

Launch slice_launch(const NodeContext& c) {
    JoinArgs args = rows_of(c);
    const SourceRow row = source_row(c, 0);
    args.parts[0] = {c.in_ptr(0), args.length, row.length, c.node.attrs.begin * row.step};
    return join_launch(c, args);
}

Launch pad_launch(const NodeContext& c) {
    JoinArgs args = rows_of(c);
    const SourceRow row = source_row(c, 0);
    args.parts[0].length = c.node.attrs.begin * row.step;
    args.parts[1] = {c.in_ptr(0), row.length, row.length, 0};
    args.parts[2].length = c.node.attrs.end * row.step;
    return join_launch(c, args);
}

Launch copy_launch(const NodeContext& c) {
    JoinArgs args;
    args.dst = c.out_ptr();
    args.rows = 1;
    args.length = c.output().shape.num_elements() * element_bytes(c.output());
    args.parts[0] = {c.in_ptr(0), args.length, 0, 0};
    return join_launch(c, args);
}

// Of each image, a matrix.
Launch transpose_launch(const NodeContext& c, int64_t images, int64_t rows, int64_t columns) {
    TransposeArgs args;
    args.src = c.in_ptr(0);
    args.dst = c.out_ptr();
    args.rows = rows;
    args.columns = columns;
    args.row_tiles = ceil_div(args.rows, kTransposeTile);
    args.column_tiles = ceil_div(args.columns, kTransposeTile);
    const int64_t blocks = std::max<int64_t>(1, images * args.row_tiles * args.column_tiles);
    return make_launch(kFile,
                       unit_name("transpose", unit_bytes({element_bytes(c.input(0))}, {})),
                       {narrow<uint32_t>(blocks), 1, 1},
                       kTransposeTile * kTransposeRows,
                       args);
}

Launch reorder_launch(const NodeContext& c) {
    const ir::Value& x = c.input(0);
    const int64_t channels = x.shape[1];
    const int64_t pixels = x.shape[2] * x.shape[3];
    if (x.layout == c.output().layout || channels == 1 || pixels == 1) return copy_launch(c);
    const bool to_last = c.output().layout == ir::Layout::kChannelsLast;
    return transpose_launch(
        c, x.shape[0], to_last ? channels : pixels, to_last ? pixels : channels);
}

Launch swap_axes_launch(const NodeContext& c) {
    const Shape& shape = c.input(0).shape;
    if (shape[3] == 1) return transpose_launch(c, shape[0], shape[1], shape[2]);
    SwapArgs args;
    args.src = c.in_ptr(0);
    args.dst = c.out_ptr();
    args.images = shape[0];
    args.a = shape[1];
    args.b = shape[2];
    const int64_t bytes = shape[3] * element_bytes(c.input(0));
    const int64_t unit = unit_bytes({bytes}, {args.src, args.dst});
    args.length = bytes / unit;
    return make_launch(kFile,
                       unit_name("swap_axes", unit),
                       piece_grid(c.device, args.images * args.a * args.b * args.length),
                       kPieceThreads,
                       args);
}

// The small image of a pair: lines over all images (and channels, where these are outermost).
UpsampleArgs small_image(const ir::Value& x) {
    const bool last = x.layout == ir::Layout::kChannelsLast;
    UpsampleArgs args;
    args.lines = x.shape[0] * (last ? 1 : x.shape[1]) * x.shape[2];
    args.width = x.shape[3];
    args.length = last ? x.shape[1] : 1;
    return args;
}

Launch upsample_launch(const NodeContext& c) {
    UpsampleArgs args = small_image(c.input(0));
    args.src = c.in_ptr(0);
    args.dst = c.out_ptr();
    args.length *= element_bytes(c.input(0));
    const int64_t unit = unit_bytes({args.length}, {args.src, args.dst});
    args.length /= unit;
    return make_launch(kFile,
                       unit_name("upsample2x", unit),
                       piece_grid(c.device, args.lines * args.width * args.length),
                       kPieceThreads,
                       args);
}

Launch upsample_backward_launch(const NodeContext& c) {
    const ir::Value& dx = c.output();
    UpsampleArgs args = small_image(dx);
    args.src = c.in_ptr(0);
    args.dst = c.out_ptr();
    const int64_t size = elements_per_piece(dx.dtype);
    args.aligned = all_aligned({args.src, args.dst}) && args.length % size == 0 ? 1 : 0;
    return make_launch(kFile,
                       kernel_name("upsample2x_backward", dx.dtype),
                       piece_grid(c.device, args.lines * args.width * ceil_div(args.length, size)),
                       kPieceThreads,
                       args);
}

}  // namespace

Launches movement_launches(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kCast: return {cast_launch(c)};
        case OpKind::kConcat: return {concat_launch(c)};
        case OpKind::kSlice: return {slice_launch(c)};
        case OpKind::kPad: return {pad_launch(c)};
        case OpKind::kSwapAxes: return {swap_axes_launch(c)};
        case OpKind::kUpsample2x: return {upsample_launch(c)};
        case OpKind::kUpsample2xBackward: return {upsample_backward_launch(c)};
        default: return {reorder_launch(c)};
    }
}

}  // namespace lora::cuda
