#include "backend/cpu/internal/gemm.h"

#include <algorithm>

namespace lora::cpu {
namespace {

// Sizes of the blocks that one thread works on: the packed A stays in the second-level cache.
struct Blocking {
    int64_t rows = 0;
    int64_t depth = 0;
    int64_t cols = 0;
    int64_t num_row_blocks = 0;
    int64_t num_col_blocks = 0;
    int64_t depth_blocks = 0;  // per tap
};

constexpr int64_t kMaxRows = 192;
constexpr int64_t kMaxDepth = 384;
constexpr int64_t kMaxCols = 768;

int64_t even_piece(int64_t size, int64_t most, int64_t step) {
    const int64_t pieces = std::max<int64_t>(1, ceil_div(size, most));
    return round_up(ceil_div(size, pieces), step);
}

Blocking blocking_of(const Device& device, const GemmShape& shape) {
    const KernelTable& k = *device.kernels;
    const int64_t threads = device.threads.count();
    const int64_t num_rows = shape.grid.num_rows();
    Blocking b;
    b.depth = even_piece(shape.channels, kMaxDepth, k.gemm_line);
    b.depth_blocks = ceil_div(shape.channels, b.depth);
    b.cols = even_piece(shape.cols, kMaxCols, k.gemm_cols);
    b.rows = even_piece(num_rows, kMaxRows, k.gemm_rows);
    // Enough pieces for every thread: narrower columns first, they share no work but the packing of
    // A.
    const auto pieces = [&] { return ceil_div(num_rows, b.rows) * ceil_div(shape.cols, b.cols); };
    while (pieces() < 2 * threads && b.cols > 4 * k.gemm_cols) {
        b.cols = round_up(ceil_div(b.cols, 2), k.gemm_cols);
    }
    while (pieces() < 2 * threads && b.rows > 2 * k.gemm_rows) {
        b.rows = round_up(ceil_div(b.rows, 2), k.gemm_rows);
    }
    b.num_row_blocks = ceil_div(num_rows, b.rows);
    b.num_col_blocks = ceil_div(shape.cols, b.cols);
    return b;
}

// Scratch of one thread.
struct Slot {
    float* a = nullptr;
    float* partial = nullptr;
    void** dst_rows = nullptr;
    const void** addend_rows = nullptr;
};

Slot take_slot(ScratchLayout& layout, const KernelTable& k, const Blocking& b, size_t num_steps) {
    Slot s;
    const int64_t rows = round_up(b.rows, k.gemm_rows);
    s.a = layout.take<float>(rows * round_up(b.depth, k.gemm_line));
    s.partial = layout.take<float>(num_steps > 1 ? rows * b.cols : 0);
    s.dst_rows = layout.take<void*>(rows);
    s.addend_rows = layout.take<const void*>(rows);
    return s;
}

size_t num_steps(const GemmShape& shape, const Blocking& b) {
    return shape.grid.taps.size() * static_cast<size_t>(b.depth_blocks);
}

size_t elem_bytes(Elem type) { return type == Elem::kBF16 ? 2 : 4; }

// Calls fn(first row, count, first source pixel or -1) for runs of rows whose source pixels follow
// each other at steps of src_step.
template <typename Fn>
void each_run(const Grid& g, const Tap& tap, int64_t begin, int64_t end, Fn&& fn) {
    for (int64_t row = begin; row < end;) {
        const int64_t x = row % g.width;
        const int64_t line = row / g.width;
        const int64_t image = line / g.height;
        const int64_t stop = std::min(end, row + g.width - x);
        const int64_t src_y = line % g.height * g.src_step + tap.y;
        int64_t first = stop;  // rows whose source pixel exists: [first, last)
        int64_t last = stop;
        if (src_y >= 0 && src_y < g.src_height) {
            // smallest x with x * step + tap.x >= 0, and the smallest with it >= src_width
            const int64_t low = tap.x >= 0 ? 0 : ceil_div(-tap.x, g.src_step);
            const int64_t high =
                g.src_width - tap.x <= 0 ? 0 : ceil_div(g.src_width - tap.x, g.src_step);
            first = std::clamp(row + low - x, row, stop);
            last = std::clamp(row + high - x, first, stop);
        }
        if (first > row) fn(row, first - row, int64_t{-1});
        if (last > first) {
            const int64_t src_x = (x + first - row) * g.src_step + tap.x;
            fn(first, last - first, (image * g.src_height + src_y) * g.src_width + src_x);
        }
        if (stop > last) fn(last, stop - last, int64_t{-1});
        row = stop;
    }
}

const std::byte* at(const void* base, int64_t elements, Elem type) {
    return static_cast<const std::byte*>(base) + elements * static_cast<int64_t>(elem_bytes(type));
}

int64_t dst_pixel(const Grid& g, int64_t row) {
    if (g.dst_step == 1 && g.dst_height == g.height && g.dst_width == g.width) return row;
    const int64_t x = row % g.width * g.dst_step + g.dst_x;
    const int64_t line = row / g.width;
    const int64_t y = line % g.height * g.dst_step + g.dst_y;
    return (line / g.height * g.dst_height + y) * g.dst_width + x;
}

struct Piece {
    int64_t row_begin;
    int64_t row_end;
    int64_t col_begin;
    int64_t col_end;
};

// Some channels of the source, seen through one tap.
struct SourceSlice {
    const Tap& tap;
    int64_t channel = 0;
    int64_t depth = 0;
};

void pack_source(const Device& device,
                 const GemmShape& shape,
                 const GemmOperands& o,
                 const Piece& piece,
                 const SourceSlice& slice,
                 float* a) {
    each_run(shape.grid,
             slice.tap,
             piece.row_begin,
             piece.row_end,
             [&](int64_t first, int64_t count, int64_t pixel) {
                 PackSource source;
                 source.type = o.type;
                 source.rows = count;
                 source.cols = slice.depth;
                 source.first_row = first - piece.row_begin;
                 source.row_stride = shape.channels * shape.grid.src_step;
                 if (pixel >= 0) {
                     source.src = at(o.src, pixel * shape.channels + slice.channel, o.type);
                 }
                 device.kernels->pack_rows(source, a);
             });
}

void run_piece(const Device& device,
               const GemmShape& shape,
               const GemmOperands& o,
               const Blocking& b,
               const Piece& piece,
               const Slot& slot) {
    const KernelTable& k = *device.kernels;
    GemmBlock block;
    block.a = slot.a;
    block.rows = piece.row_end - piece.row_begin;
    block.b_type = o.b_type;
    block.b_panel_stride = shape.channels * k.gemm_cols;
    block.cols = piece.col_end - piece.col_begin;
    block.partial = slot.partial;
    block.alpha = o.alpha;
    block.bias = o.bias == nullptr ? nullptr : o.bias + piece.col_begin;
    block.dst_type = o.type;
    block.dst_rows = slot.dst_rows;
    block.addend_rows = o.addend == nullptr ? nullptr : slot.addend_rows;
    for (int64_t row = 0; row < block.rows; ++row) {
        const int64_t offset =
            dst_pixel(shape.grid, piece.row_begin + row) * shape.cols + piece.col_begin;
        slot.dst_rows[row] = const_cast<std::byte*>(at(o.dst, offset, o.type));
        if (o.addend != nullptr) slot.addend_rows[row] = at(o.addend, offset, o.type);
    }
    const int64_t num_panels = ceil_div(shape.cols, k.gemm_cols);
    const size_t steps = num_steps(shape, b);
    size_t step = 0;
    if (steps == 0) k.gemm_block(block);  // no tap reaches these pixels: bias and addend alone
    for (const Tap& tap : shape.grid.taps) {
        const int64_t first_panel = tap.index * num_panels + piece.col_begin / k.gemm_cols;
        for (int64_t channel = 0; channel < shape.channels; channel += b.depth, ++step) {
            block.depth = std::min(b.depth, shape.channels - channel);
            pack_source(device, shape, o, piece, {tap, channel, block.depth}, slot.a);
            block.b = at(o.b, (first_panel * shape.channels + channel) * k.gemm_cols, o.b_type);
            block.first = step == 0;
            block.last = step + 1 == steps;
            k.gemm_block(block);
        }
    }
}

}  // namespace

Grid linear_grid(int64_t rows) {
    Grid g;
    g.width = g.src_width = g.dst_width = rows;
    return g;
}

int64_t packed_size(const KernelTable& kernels, int64_t taps, int64_t channels, int64_t cols) {
    return taps * round_up(cols, kernels.gemm_cols) * channels;
}

size_t gemm_scratch(const Device& device, const GemmShape& shape) {
    const Blocking b = blocking_of(device, shape);
    ScratchLayout layout;
    for (int i = 0; i < device.threads.count(); ++i) {
        take_slot(layout, *device.kernels, b, num_steps(shape, b));
    }
    return layout.used();
}

void gemm(const Device& device, const GemmShape& shape, const GemmOperands& o) {
    const Blocking b = blocking_of(device, shape);
    ScratchLayout layout(o.scratch);
    std::vector<Slot> slots;
    slots.reserve(static_cast<size_t>(device.threads.count()));
    for (int i = 0; i < device.threads.count(); ++i) {
        slots.push_back(take_slot(layout, *device.kernels, b, num_steps(shape, b)));
    }
    const int64_t num_rows = shape.grid.num_rows();
    device.threads.run(b.num_row_blocks * b.num_col_blocks, [&](int64_t index, int slot) {
        // Neighbouring pieces share columns of B, which is the larger operand where it matters.
        const int64_t row = index % b.num_row_blocks * b.rows;
        const int64_t col = index / b.num_row_blocks * b.cols;
        const Piece piece{
            row, std::min(num_rows, row + b.rows), col, std::min(shape.cols, col + b.cols)};
        run_piece(device, shape, o, b, piece, slots[static_cast<size_t>(slot)]);
    });
}

// ---- gradient form ----
namespace {

constexpr int64_t kGradientDepth = 256;

struct GradientBlocking {
    int64_t rows = 0;
    int64_t cols = 0;
    int64_t depth = 0;
    int64_t num_row_blocks = 0;
    int64_t num_col_blocks = 0;
};

GradientBlocking gradient_blocking(const Device& device, const GradientShape& shape) {
    const KernelTable& k = *device.kernels;
    const int64_t wanted = 2 * device.threads.count();
    GradientBlocking b;
    b.depth = std::min(kGradientDepth, shape.grid.num_rows());
    b.rows = even_piece(shape.rows, kMaxRows, k.gemm_rows);
    b.cols = even_piece(shape.cols, kMaxRows, k.gemm_cols);
    const auto pieces = [&] {
        return ceil_div(shape.rows, b.rows) * ceil_div(shape.cols, b.cols) *
               static_cast<int64_t>(shape.grid.taps.size());
    };
    while (pieces() < wanted && b.cols > 2 * k.gemm_cols) {
        b.cols = round_up(ceil_div(b.cols, 2), k.gemm_cols);
    }
    while (pieces() < wanted && b.rows > 2 * k.gemm_rows) {
        b.rows = round_up(ceil_div(b.rows, 2), k.gemm_rows);
    }
    b.num_row_blocks = ceil_div(shape.rows, b.rows);
    b.num_col_blocks = ceil_div(shape.cols, b.cols);
    return b;
}

struct GradientSlot {
    float* a = nullptr;
    float* b = nullptr;
    float* partial = nullptr;
    void** dst_rows = nullptr;
};

GradientSlot take_gradient_slot(ScratchLayout& layout,
                                const KernelTable& k,
                                const GradientBlocking& b) {
    GradientSlot s;
    const int64_t rows = round_up(b.rows, k.gemm_rows);
    s.a = layout.take<float>(rows * b.depth);
    s.b = layout.take<float>(b.cols * b.depth);
    s.partial = layout.take<float>(rows * b.cols);
    s.dst_rows = layout.take<void*>(rows);
    return s;
}

// A rectangle of one tap's gradient and the scratch of the thread that makes it.
struct GradientPiece {
    const Tap& tap;
    Piece area;
    const GradientSlot& slot;
};

// The points from `begin` on, as many as block.depth, to both operands of the block.
void pack_points(const KernelTable& k,
                 const GradientShape& shape,
                 const GradientOperands& o,
                 const GradientPiece& piece,
                 const GemmBlock& block,
                 int64_t begin) {
    PackSource a;
    a.type = o.type;
    a.src = at(o.a, begin * shape.rows + piece.area.row_begin, o.type);
    a.row_stride = shape.rows;
    a.rows = block.depth;
    a.cols = block.rows;
    k.pack_columns(a, piece.slot.a);
    const auto pack_run = [&](int64_t first, int64_t count, int64_t pixel) {
        PackSource b;
        b.type = o.type;
        b.rows = count;
        b.cols = block.cols;
        b.first_row = first - begin;
        b.row_stride = shape.cols * shape.grid.src_step;
        if (pixel >= 0) b.src = at(o.b, pixel * shape.cols + piece.area.col_begin, o.type);
        k.pack_panels(b, Elem::kF32, piece.slot.b, block.b_panel_stride);
    };
    each_run(shape.grid, piece.tap, begin, begin + block.depth, pack_run);
}

void run_gradient_piece(const KernelTable& k,
                        const GradientShape& shape,
                        const GradientOperands& o,
                        int64_t depth,
                        const GradientPiece& piece) {
    const GradientSlot& slot = piece.slot;
    const Piece& area = piece.area;
    const int64_t num_points = shape.grid.num_rows();
    GemmBlock block;
    block.a = slot.a;
    block.a_columns = true;
    block.rows = area.row_end - area.row_begin;
    block.b = slot.b;
    block.cols = area.col_end - area.col_begin;
    block.partial = slot.partial;
    block.alpha = o.alpha;
    block.dst_rows = slot.dst_rows;
    block.addend_rows = o.accumulate ? slot.dst_rows : nullptr;
    block.dst_step = shape.dst_step;
    for (int64_t row = 0; row < block.rows; ++row) {
        slot.dst_rows[row] = o.dst + (area.row_begin + row) * shape.dst_row +
                             area.col_begin * shape.dst_step + piece.tap.index * shape.dst_tap;
    }
    for (int64_t point = 0; point < num_points; point += depth) {
        block.depth = std::min(depth, num_points - point);
        block.b_panel_stride = block.depth * k.gemm_cols;
        pack_points(k, shape, o, piece, block, point);
        block.first = point == 0;
        block.last = point + block.depth >= num_points;
        k.gemm_block(block);
    }
}

}  // namespace

size_t gradient_scratch(const Device& device, const GradientShape& shape) {
    const GradientBlocking b = gradient_blocking(device, shape);
    ScratchLayout layout;
    for (int i = 0; i < device.threads.count(); ++i) {
        take_gradient_slot(layout, *device.kernels, b);
    }
    return layout.used();
}

void gradient(const Device& device, const GradientShape& shape, const GradientOperands& o) {
    const GradientBlocking b = gradient_blocking(device, shape);
    ScratchLayout layout(o.scratch);
    std::vector<GradientSlot> slots;
    slots.reserve(static_cast<size_t>(device.threads.count()));
    for (int i = 0; i < device.threads.count(); ++i) {
        slots.push_back(take_gradient_slot(layout, *device.kernels, b));
    }
    const int64_t per_tap = b.num_row_blocks * b.num_col_blocks;
    const int64_t num_pieces = per_tap * static_cast<int64_t>(shape.grid.taps.size());
    device.threads.run(num_pieces, [&](int64_t index, int slot) {
        const int64_t row = index % per_tap % b.num_row_blocks * b.rows;
        const int64_t col = index % per_tap / b.num_row_blocks * b.cols;
        const Piece area{
            row, std::min(shape.rows, row + b.rows), col, std::min(shape.cols, col + b.cols)};
        const Tap& tap = shape.grid.taps[static_cast<size_t>(index / per_tap)];
        run_gradient_piece(
            *device.kernels, shape, o, b.depth, {tap, area, slots[static_cast<size_t>(slot)]});
    });
}

}  // namespace lora::cpu
