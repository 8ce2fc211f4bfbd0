// Elementwise products of matrices of low rank, and the gradients of their factors: a block of rows
// at a time, whose products are made in fp32 and never leave the cache for long.
#include <algorithm>

#include "backend/cpu/internal/gemm.h"
#include "backend/cpu/internal/packing.h"
#include "backend/dither_rules.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

constexpr int64_t kBlockElements = 1 << 17;

struct Sizes {
    int64_t rows = 0;
    int64_t cols = 0;
    int64_t taps = 1;   // of a filter, which lies [rows, taps, cols / taps]
    int64_t block = 0;  // rows of one
    int64_t most_rank = 0;
    bool adds = false;
};

Sizes sizes_of(const ir::Graph& g, const ir::Node& n) {
    const bool forward = n.op == OpKind::kHadamard;
    const auto shape = [&](size_t i) -> const Shape& { return g.value(n.inputs[i]).shape; };
    Sizes s;
    s.rows = shape(forward ? 0 : 1)[0];
    s.cols = shape(forward ? 1 : 2)[1];
    const Shape& whole = forward ? g.value(n.outputs[0]).shape : shape(0);
    if (whole.num_axes() == 4) s.taps = whole[2] * whole[3];
    s.adds = forward && n.inputs[4].valid();
    s.block = std::clamp<int64_t>(kBlockElements / s.cols, 1, s.rows);
    s.most_rank = forward ? std::max(shape(0)[1], shape(2)[1])
                          : std::max(shape(1)[1], shape(3)[n.attrs.transpose_weight ? 1 : 0]);
    return s;
}

// dst [rows, cols] = alpha * src [rows, depth] B + addend, fp32; B lies in panels.
struct Product {
    const float* src = nullptr;
    const float* panels = nullptr;
    int64_t rows = 0;
    int64_t depth = 0;
    int64_t cols = 0;
    float* dst = nullptr;
    const float* addend = nullptr;
    float alpha = 1;
    std::byte* scratch = nullptr;
};

GemmShape gemm_shape(int64_t rows, int64_t depth, int64_t cols) {
    GemmShape shape;
    shape.grid = linear_grid(rows);
    shape.channels = depth;
    shape.cols = cols;
    return shape;
}

void run(const Device& device, const Product& p) {
    GemmOperands o;
    o.src = p.src;
    o.b = p.panels;
    o.dst = p.dst;
    o.addend = p.addend;
    o.alpha = p.alpha;
    o.scratch = p.scratch;
    gemm(device, gemm_shape(p.rows, p.depth, p.cols), o);
}

GradientShape gradient_shape(int64_t points, int64_t rows, int64_t cols) {
    GradientShape shape;
    shape.rows = rows;
    shape.cols = cols;
    shape.grid = linear_grid(points);
    shape.dst_row = cols;
    return shape;
}

struct Scratch {
    float* left = nullptr;     // [block, most_rank]: a factor's rows
    float* product = nullptr;  // [block, cols]
    float* other = nullptr;    // [block, cols]
    float* addend = nullptr;   // [block, cols]
    float* panels[2] = {};
    std::byte* products = nullptr;

    Scratch(ScratchLayout& layout, const Device& device, const Sizes& s) {
        left = layout.take<float>(s.block * s.most_rank);
        product = layout.take<float>(s.block * s.cols);
        other = layout.take<float>(s.block * s.cols);
        addend = layout.take<float>(s.adds ? s.block * s.cols : 0);
        const int64_t packed = std::max(packed_size(*device.kernels, 1, s.most_rank, s.cols),
                                        packed_size(*device.kernels, 1, s.cols, s.most_rank));
        for (float*& p : panels) p = layout.take<float>(packed);
        size_t bytes = 0;
        for (const GemmShape& shape :
             {gemm_shape(s.block, s.most_rank, s.cols), gemm_shape(s.block, s.cols, s.most_rank)}) {
            bytes = std::max(bytes, gemm_scratch(device, shape));
        }
        bytes =
            std::max(bytes, gradient_scratch(device, gradient_shape(s.block, s.most_rank, s.cols)));
        products = layout.take<std::byte>(static_cast<int64_t>(bytes));
    }
};

// Elements [first, first + count) of src.
void to_float(
    const Device& device, Elem type, const void* src, int64_t first, float* dst, int64_t count) {
    const int64_t width = type == Elem::kF32 ? 4 : 2;
    device.kernels->to_float(type, static_cast<const std::byte*>(src) + first * width, dst, count);
}

constexpr int64_t kGrain = 1 << 14;

int spare_bits(Elem type) { return type == Elem::kBF16 ? backend::kSpareBitsBf16 : 0; }

// Calls fn(element in the factors' order, where it lies) for each element of a row.
template <typename Fn>
void each_place(const Sizes& s, Fn fn) {
    const int64_t channels = s.cols / s.taps;
    for (int64_t tap = 0; tap < s.taps; ++tap) {
        for (int64_t i = 0; i < channels; ++i) fn(i * s.taps + tap, tap * channels + i);
    }
}

// Rows of the whole whose products lie in the scratch memory.
struct Block {
    int64_t first = 0;
    int64_t rows = 0;
    std::byte* dst = nullptr;
};

// dst = product * other + addend.
void store_sums(
    const Device& device, const Sizes& s, Elem type, const Scratch& scratch, const Block& block) {
    const int64_t width = type == Elem::kF32 ? 4 : 2;
    const int bits = spare_bits(type);
    const int64_t grain = std::max<int64_t>(1, kGrain / s.cols);
    device.threads.split(block.rows, grain, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            float* product = scratch.product + row * s.cols;
            float* other = scratch.other + row * s.cols;
            const float* addend = scratch.addend + row * s.cols;
            for (int64_t i = 0; i < s.cols; ++i) {
                product[i] = product[i] * other[i] + addend[i];
                if (bits == 0) continue;
                const auto index = static_cast<uint32_t>((block.first + row) * s.cols + i);
                product[i] = backend::dithered(product[i], backend::dither_word(index), bits);
            }
            if (s.taps > 1) {
                each_place(s, [&](int64_t from, int64_t to) { other[to] = product[from]; });
            }
            device.kernels->from_float(
                type, s.taps > 1 ? other : product, block.dst + row * s.cols * width, s.cols);
        }
    });
}

Program forward_program(const NodeContext& c) {
    const Device& device = c.device;
    const Sizes s = sizes_of(c.graph, c.node);
    const Elem type = elem_of(c.output().dtype);
    const int64_t ranks[2] = {c.input(0).shape[1], c.input(2).shape[1]};
    const auto alpha = static_cast<float>(c.node.attrs.alpha);
    Program program;
    program.choice = "own";
    program.run = [&device, s, type, first = ranks[0], second = ranks[1], alpha](const Args& args) {
        ScratchLayout layout(args.scratch);
        const Scratch scratch(layout, device, s);
        const int64_t rank[2] = {first, second};
        for (size_t i = 0; i < 2; ++i) {
            const MatrixView b{type, args.in[2 * i + 1], 1, rank[i], s.cols, 0, s.cols, 1};
            pack_matrix(device, b, Elem::kF32, scratch.panels[i]);
        }
        const int64_t width = type == Elem::kF32 ? 4 : 2;
        for (int64_t row = 0; row < s.rows; row += s.block) {
            const int64_t rows = std::min(s.block, s.rows - row);
            for (size_t i = 0; i < 2; ++i) {
                to_float(device, type, args.in[2 * i], row * rank[i], scratch.left, rows * rank[i]);
                run(device,
                    {.src = scratch.left,
                     .panels = scratch.panels[i],
                     .rows = rows,
                     .depth = rank[i],
                     .cols = s.cols,
                     .dst = i == 0 ? scratch.product : scratch.other,
                     .alpha = i == 0 ? alpha : 1.0F,
                     .scratch = scratch.products});
            }
            std::byte* dst = args.out[0] + row * s.cols * width;
            if (s.adds) {
                to_float(device, type, args.in[4], row * s.cols, scratch.addend, rows * s.cols);
                store_sums(device, s, type, scratch, {row, rows, dst});
                continue;
            }
            device.threads.split(rows * s.cols, kGrain, [&](int64_t begin, int64_t end) {
                ElementwiseArgs e;
                e.a = e.dst = scratch.product;
                e.b = scratch.other;
                device.kernels->multiply(e, begin, end);
                device.kernels->from_float(
                    type, scratch.product + begin, dst + begin * width, end - begin);
            });
        }
    };
    return program;
}

Program backward_program(const NodeContext& c) {
    const Device& device = c.device;
    const Sizes s = sizes_of(c.graph, c.node);
    const Elem type = elem_of(c.input(0).dtype);
    const bool by_rows = c.node.attrs.transpose_weight;  // the partner has the rows of d
    const int64_t rank = c.input(1).shape[1];
    const int64_t own_rank = c.input(3).shape[by_rows ? 1 : 0];
    const auto alpha = static_cast<float>(c.node.attrs.alpha);
    const bool accumulate = c.node.attrs.accumulate;
    Program program;
    program.choice = "own";
    program.run = [=, &device](const Args& args) {
        ScratchLayout layout(args.scratch);
        const Scratch scratch(layout, device, s);
        const MatrixView b{type, args.in[2], 1, rank, s.cols, 0, s.cols, 1};
        pack_matrix(device, b, Elem::kF32, scratch.panels[0]);
        if (!by_rows) {
            const MatrixView partner{type, args.in[3], 1, s.cols, own_rank, 0, 1, s.cols};
            pack_matrix(device, partner, Elem::kF32, scratch.panels[1]);
        }
        auto* dst = args.output<float>(0);
        for (int64_t row = 0; row < s.rows; row += s.block) {
            const int64_t rows = std::min(s.block, s.rows - row);
            to_float(device, type, args.in[1], row * rank, scratch.left, rows * rank);
            run(device,
                {.src = scratch.left,
                 .panels = scratch.panels[0],
                 .rows = rows,
                 .depth = rank,
                 .cols = s.cols,
                 .dst = scratch.product,
                 .scratch = scratch.products});
            const int64_t grain = std::max<int64_t>(1, kGrain / s.cols);
            device.threads.split(rows, grain, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    float* product = scratch.product + i * s.cols;
                    float* d = scratch.other + i * s.cols;
                    to_float(device, type, args.in[0], (row + i) * s.cols, d, s.cols);
                    each_place(s, [&](int64_t to, int64_t from) { product[to] *= d[from]; });
                }
            });
            if (by_rows) {
                to_float(device, type, args.in[3], row * own_rank, scratch.left, rows * own_rank);
                GradientOperands o;
                o.a = scratch.left;
                o.b = scratch.product;
                o.dst = dst;
                o.alpha = alpha;
                o.accumulate = accumulate || row > 0;
                o.scratch = scratch.products;
                gradient(device, gradient_shape(rows, own_rank, s.cols), o);
            } else {
                float* to = dst + row * own_rank;
                run(device,
                    {.src = scratch.product,
                     .panels = scratch.panels[1],
                     .rows = rows,
                     .depth = s.cols,
                     .cols = own_rank,
                     .dst = to,
                     .addend = accumulate ? to : nullptr,
                     .alpha = alpha,
                     .scratch = scratch.products});
            }
        }
    };
    return program;
}

}  // namespace

size_t hadamard_scratch(const Device& d, const ir::Graph& g, const ir::Node& n) {
    ScratchLayout layout;
    static_cast<void>(Scratch(layout, d, sizes_of(g, n)));
    return layout.used();
}

Program hadamard_program(const NodeContext& c) {
    return c.node.op == OpKind::kHadamard ? forward_program(c) : backward_program(c);
}

}  // namespace lora::cpu
