// Activations, sums and scales: pieces of a few thousand elements, spread over the threads.
#include <algorithm>
#include <cmath>

#include "backend/cpu/internal/device.h"
#include "backend/draw_rules.h"
#include "base/check.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

constexpr int64_t kGrain = 4096;

// Sums and products; b repeats every `inner` elements of a.
Program pair_program(const NodeContext& c) {
    const Device& device = c.device;
    ElementwiseArgs base;
    base.type = elem_of(c.input(0).dtype);
    const int64_t size = c.input(0).shape.num_elements();
    base.inner = c.input(1).shape.num_elements();
    const bool same = base.inner == size;
    const bool sum = c.node.op == OpKind::kAdd;
    const auto whole = sum ? device.kernels->add : device.kernels->multiply;
    const auto by_row = sum ? device.kernels->add_rows : device.kernels->multiply_rows;
    Program program;
    program.choice = "own";
    program.run = [&device, base, size, same, whole, by_row](const Args& a) {
        ElementwiseArgs args = base;
        args.a = a.in[0];
        args.b = a.in[1];
        args.dst = a.out[0];
        if (same) {
            device.threads.split(
                size, kGrain, [&](int64_t begin, int64_t end) { whole(args, begin, end); });
            return;
        }
        const int64_t grain = std::max<int64_t>(1, kGrain / args.inner);
        device.threads.split(size / args.inner, grain, [&](int64_t begin, int64_t end) {
            by_row(args, begin, end);
        });
    };
    return program;
}

struct ChannelShape {
    Elem type = Elem::kF32;
    bool channels_last = true;
    int64_t images = 0;
    int64_t channels = 0;
    int64_t pixels = 0;
    int64_t bytes = 4;
    int64_t chunk = 0;
    int64_t chunks = 0;
};

ChannelShape channel_shape(const ir::Value& x) {
    ChannelShape s;
    s.type = elem_of(x.dtype);
    s.channels_last = x.layout == ir::Layout::kChannelsLast;
    s.images = x.shape[0];
    s.channels = x.shape[1];
    s.pixels = x.shape[2] * x.shape[3];
    s.bytes = static_cast<int64_t>(dtype_bytes(x.dtype));
    s.chunk = std::max<int64_t>(8, 32768 / s.channels);
    s.chunks = ceil_div(s.pixels, s.chunk);
    return s;
}

Program add_channel_program(const NodeContext& c) {
    const Device& device = c.device;
    const ChannelShape s = channel_shape(c.input(0));
    Program program;
    program.choice = "own";
    program.run = [&device, s](const Args& a) {
        const KernelTable& k = *device.kernels;
        if (!s.channels_last) {
            device.threads.split(s.images * s.channels, 1, [&](int64_t begin, int64_t end) {
                for (int64_t plane = begin; plane < end; ++plane) {
                    float value = 0;
                    k.to_float(s.type, a.in[1] + plane * s.bytes, &value, 1);
                    std::vector<float> row(static_cast<size_t>(s.pixels));
                    k.to_float(s.type, a.in[0] + plane * s.pixels * s.bytes, row.data(), s.pixels);
                    for (float& x : row) x += value;
                    k.from_float(
                        s.type, row.data(), a.out[0] + plane * s.pixels * s.bytes, s.pixels);
                }
            });
            return;
        }
        device.threads.run(s.images * s.chunks, [&](int64_t index, int) {
            const int64_t image = index / s.chunks;
            const int64_t begin = index % s.chunks * s.chunk;
            const int64_t at = image * s.pixels * s.channels * s.bytes;
            ElementwiseArgs args;
            args.type = s.type;
            args.inner = s.channels;
            args.a = a.in[0] + at;
            args.b = a.in[1] + image * s.channels * s.bytes;
            args.dst = a.out[0] + at;
            k.add_rows(args, begin, std::min(s.pixels, begin + s.chunk));
        });
    };
    return program;
}

// Pieces summed apart, then in their order.
Program sum_spatial_program(const NodeContext& c) {
    const Device& device = c.device;
    const ChannelShape s = channel_shape(c.input(0));
    Program program;
    program.choice = "own";
    program.run = [&device, s](const Args& a) {
        const KernelTable& k = *device.kernels;
        ScratchLayout layout(a.scratch);
        float* parts = layout.take<float>(s.images * s.chunks * s.channels);
        if (!s.channels_last) {
            std::vector<float> row(static_cast<size_t>(s.pixels));
            for (int64_t plane = 0; plane < s.images * s.channels; ++plane) {
                k.to_float(s.type, a.in[0] + plane * s.pixels * s.bytes, row.data(), s.pixels);
                double sum = 0;
                for (const float x : row) sum += static_cast<double>(x);
                const float result = static_cast<float>(sum);
                k.from_float(s.type, &result, a.out[0] + plane * s.bytes, 1);
            }
            return;
        }
        device.threads.run(s.images * s.chunks, [&](int64_t index, int) {
            const int64_t image = index / s.chunks;
            const int64_t begin = index % s.chunks * s.chunk;
            ElementwiseArgs args;
            args.type = s.type;
            args.inner = s.channels;
            args.a = a.in[0] + image * s.pixels * s.channels * s.bytes;
            args.dst = parts + index * s.channels;
            k.sum_rows(args, begin, std::min(s.pixels, begin + s.chunk));
        });
        for (int64_t image = 0; image < s.images; ++image) {
            float* total = parts + image * s.chunks * s.channels;
            for (int64_t chunk = 1; chunk < s.chunks; ++chunk) {
                k.add_to_float(Elem::kF32, total + chunk * s.channels, total, s.channels);
            }
            k.from_float(s.type, total, a.out[0] + image * s.channels * s.bytes, s.channels);
        }
    };
    return program;
}

Program geglu_program(const NodeContext& c) {
    const Device& device = c.device;
    const bool backward = c.node.op == OpKind::kGegluBackward;
    const ir::Value& small = backward ? c.input(0) : c.output();
    ElementwiseArgs base;
    base.type = elem_of(small.dtype);
    base.inner = small.shape[-1];
    const int64_t rows = small.shape.num_elements() / base.inner;
    Program program;
    program.choice = "own";
    program.run = [&device, base, rows, backward](const Args& a) {
        ElementwiseArgs args = base;
        args.a = a.in[0];
        args.b = backward ? a.in[1] : nullptr;
        args.dst = a.out[0];
        const int64_t grain = std::max<int64_t>(1, kGrain / args.inner);
        device.threads.split(rows, grain, [&](int64_t begin, int64_t end) {
            (backward ? device.kernels->geglu_backward : device.kernels->geglu)(args, begin, end);
        });
    };
    return program;
}

Program mix_rows_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::Value& x = c.input(0);
    const Elem type = elem_of(x.dtype);
    const int64_t rows = x.shape[0];
    const int64_t size = x.shape.num_elements() / rows;
    const int64_t bytes = static_cast<int64_t>(dtype_bytes(x.dtype));
    Program program;
    program.choice = "own";
    program.run = [&device, type, rows, size, bytes](const Args& a) {
        device.threads.run(rows, [&](int64_t row, int) {
            ElementwiseArgs args;
            args.type = type;
            args.a = a.in[0] + row * size * bytes;
            args.b = a.in[1] + row * size * bytes;
            args.dst = a.out[0] + row * size * bytes;
            args.alpha = a.input<float>(2)[row];
            args.beta = a.input<float>(3)[row];
            device.kernels->mix(args, 0, size);
        });
    };
    return program;
}

// Elements [begin, end), in their order; four neighbouring draws are one block.
void drop(const Device& device,
          const backend::DropoutDraws& draws,
          const ElementwiseArgs& g,
          const int32_t* key,
          int64_t begin,
          int64_t end) {
    const int64_t bytes = g.type == Elem::kF32 ? 4 : 2;
    std::vector<float> x(static_cast<size_t>(end - begin));
    device.kernels->to_float(
        g.type, static_cast<const std::byte*>(g.a) + begin * bytes, x.data(), end - begin);
    int64_t known = -1;
    backend::DrawBlock block{};
    for (int64_t i = begin; i < end; ++i) {
        const int64_t draw = draws.draw(i);
        if (draw / 4 != known) {
            known = draw / 4;
            block = draws.block(key, known);
        }
        float& value = x[static_cast<size_t>(i - begin)];
        value = draws.keeps(block.words[draw % 4]) ? g.alpha * value : 0.0F;
    }
    device.kernels->from_float(
        g.type, x.data(), static_cast<std::byte*>(g.dst) + begin * bytes, end - begin);
}

Program dropout_program(const NodeContext& c) {
    const Device& device = c.device;
    const Shape& shape = c.input(0).shape;
    const int64_t size = shape.num_elements();
    const backend::DropoutDraws draws = backend::dropout_draws(c.node.attrs, shape);
    ElementwiseArgs base;
    base.type = elem_of(c.input(0).dtype);
    base.alpha = static_cast<float>(c.node.attrs.alpha);
    Program program;
    program.choice = "own";
    program.run = [&device, draws, base, size](const Args& a) {
        ElementwiseArgs args = base;
        args.a = a.in[0];
        args.dst = a.out[0];
        device.threads.split(size, kGrain, [&](int64_t begin, int64_t end) {
            drop(device, draws, args, a.input<int32_t>(1), begin, end);
        });
    };
    return program;
}

Program activation_program(const NodeContext& c) {
    const Device& device = c.device;
    ElementwiseArgs base;
    base.type = elem_of(c.input(0).dtype);
    base.curve = c.node.op == OpKind::kScale ? Curve::kNone : curve_of(c.node.attrs.activation);
    base.alpha = c.node.op == OpKind::kScale ? static_cast<float>(c.node.attrs.alpha) : 1.0F;
    const bool backward = c.node.op == OpKind::kActivationBackward;
    const int64_t size = c.input(0).shape.num_elements();
    Program program;
    program.choice = "own";
    program.run = [&device, base, size, backward](const Args& a) {
        ElementwiseArgs args = base;
        args.a = a.in[0];
        args.b = backward ? a.in[1] : nullptr;
        args.dst = a.out[0];
        const KernelTable& k = *device.kernels;
        device.threads.split(size, kGrain, [&](int64_t begin, int64_t end) {
            (backward ? k.activation_backward : k.activation)(args, begin, end);
        });
    };
    return program;
}

}  // namespace

size_t elementwise_scratch(const Device&, const ir::Graph& g, const ir::Node& n) {
    if (n.op != OpKind::kSumSpatial) return 0;
    const ChannelShape s = channel_shape(g.value(n.inputs[0]));
    ScratchLayout layout;
    layout.take<float>(s.images * s.chunks * s.channels);
    return layout.used();
}

Program elementwise_program(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kAdd:
        case OpKind::kMultiply: return pair_program(c);
        case OpKind::kAddChannel: return add_channel_program(c);
        case OpKind::kSumSpatial: return sum_spatial_program(c);
        case OpKind::kGeglu:
        case OpKind::kGegluBackward: return geglu_program(c);
        case OpKind::kMixRows: return mix_rows_program(c);
        case OpKind::kDropout: return dropout_program(c);
        default: return activation_program(c);
    }
}

}  // namespace lora::cpu
