// Group norm and layer norm: statistics merged in fp64 in a fixed order, whatever the threads do.
#include <algorithm>
#include <cmath>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {
namespace {

struct GroupShape {
    Elem type = Elem::kF32;
    bool silu = false;
    int64_t images = 0;
    int64_t channels = 0;
    int64_t pixels = 0;
    int64_t groups = 0;
    int64_t chunk = 0;   // pixels of a piece: it stays in the second-level cache
    int64_t chunks = 0;  // pieces of an image
    double eps = 0;
};

GroupShape group_shape(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    GroupShape s;
    s.type = elem_of(x.dtype);
    s.silu = n.attrs.activation == ir::Activation::kSilu;
    s.images = x.shape[0];
    s.channels = x.shape[1];
    s.pixels = x.shape[2] * x.shape[3];
    s.groups = n.attrs.groups;
    s.chunk = std::max<int64_t>(8, 32768 / s.channels);
    s.chunks = ceil_div(s.pixels, s.chunk);
    s.eps = n.attrs.eps;
    return s;
}

// fp32 arrays of one value a channel.
struct GroupScratch {
    float* sums = nullptr;  // [image][chunk][2][channels]
    float* gamma = nullptr;
    float* beta = nullptr;
    float* scale = nullptr;  // [image][channels], as all below
    float* shift = nullptr;
    float* mean = nullptr;
    float* rstd = nullptr;
    float* c_dz = nullptr;
    float* c_x = nullptr;
    float* c_0 = nullptr;
};

GroupScratch take_group(ScratchLayout& layout, const GroupShape& s, bool backward) {
    GroupScratch t;
    const int64_t per_image = s.images * s.channels;
    t.sums = layout.take<float>(s.images * s.chunks * 2 * s.channels);
    t.gamma = layout.take<float>(s.channels);
    t.beta = layout.take<float>(s.channels);
    for (float** p : {&t.scale, &t.shift, &t.mean, &t.rstd}) *p = layout.take<float>(per_image);
    if (backward) {
        for (float** p : {&t.c_dz, &t.c_x, &t.c_0}) *p = layout.take<float>(per_image);
    }
    return t;
}

// y = scale x + shift for each channel of an image.
void set_scale_and_shift(const GroupShape& s,
                         const GroupScratch& t,
                         const float* stats,
                         int64_t image) {
    const int64_t size = s.channels / s.groups;
    for (int64_t c = 0; c < s.channels; ++c) {
        const float* stat = stats + (image * s.groups + c / size) * 2;
        const int64_t at = image * s.channels + c;
        t.mean[at] = stat[0];
        t.rstd[at] = stat[1];
        t.scale[at] = stat[1] * t.gamma[c];
        t.shift[at] = t.beta[c] - stat[0] * t.scale[at];
    }
}

int64_t rows_of(const GroupShape& s, int64_t chunk) {
    return std::min(s.chunk, s.pixels - chunk * s.chunk);
}

// Mean and 1 / sqrt(var + eps) of a group from the pieces' means and squared distances.
void merge_stats(const GroupShape& s, const float* sums, int64_t group, float* stat) {
    const int64_t size = s.channels / s.groups;
    double total = 0;
    for (int64_t chunk = 0; chunk < s.chunks; ++chunk) {
        const float* mean = sums + chunk * 2 * s.channels + group * size;
        double part = 0;
        for (int64_t c = 0; c < size; ++c) part += static_cast<double>(mean[c]);
        total += part * static_cast<double>(rows_of(s, chunk));
    }
    const double count = static_cast<double>(size * s.pixels);
    const double group_mean = total / count;
    double squares = 0;
    for (int64_t chunk = 0; chunk < s.chunks; ++chunk) {
        const float* mean = sums + chunk * 2 * s.channels + group * size;
        const double rows = static_cast<double>(rows_of(s, chunk));
        for (int64_t c = 0; c < size; ++c) {
            const double distance = static_cast<double>(mean[c]) - group_mean;
            squares += static_cast<double>(mean[s.channels + c]) + rows * distance * distance;
        }
    }
    stat[0] = static_cast<float>(group_mean);
    stat[1] = static_cast<float>(1.0 / std::sqrt(squares / count + s.eps));
}

std::byte* image_of(std::byte* base, const GroupShape& s, int64_t image) {
    return base + image * s.pixels * s.channels * (s.type == Elem::kBF16 ? 2 : 4);
}

// kernel(args, begin, end) for every piece of every image.
template <typename Kernel>
void each_piece(const Device& device, const GroupShape& s, Kernel&& kernel) {
    device.threads.run(s.images * s.chunks, [&](int64_t index, int) {
        const int64_t image = index / s.chunks;
        const int64_t begin = index % s.chunks * s.chunk;
        kernel(image, index, begin, std::min(s.pixels, begin + s.chunk));
    });
}

void run_group_norm(const Device& device, const GroupShape& s, Elem scale_type, const Args& a) {
    const KernelTable& k = *device.kernels;
    ScratchLayout layout(a.scratch);
    const GroupScratch t = take_group(layout, s, false);
    k.to_float(scale_type, a.in[1], t.gamma, s.channels);
    k.to_float(scale_type, a.in[2], t.beta, s.channels);
    GroupNormArgs base;
    base.type = s.type;
    base.silu = s.silu;
    base.channels = s.channels;
    each_piece(device, s, [&](int64_t image, int64_t index, int64_t begin, int64_t end) {
        GroupNormArgs args = base;
        args.x = image_of(a.in[0], s, image);
        args.sums = t.sums + index * 2 * s.channels;
        k.group_norm_stats(args, begin, end);
    });
    float* stats = a.output<float>(1);
    device.threads.run(s.images, [&](int64_t image, int) {
        for (int64_t group = 0; group < s.groups; ++group) {
            merge_stats(s,
                        t.sums + image * s.chunks * 2 * s.channels,
                        group,
                        stats + (image * s.groups + group) * 2);
        }
        set_scale_and_shift(s, t, stats, image);
    });
    each_piece(device, s, [&](int64_t image, int64_t, int64_t begin, int64_t end) {
        GroupNormArgs args = base;
        args.x = image_of(a.in[0], s, image);
        args.dst = image_of(a.out[0], s, image);
        args.scale = t.scale + image * s.channels;
        args.shift = t.shift + image * s.channels;
        k.group_norm_apply(args, begin, end);
    });
}

// dx = rstd (dxhat - mean(dxhat) - xhat mean(dxhat xhat)), dxhat = gamma dz, as factors of dz, of
// x - mean, and a constant.
void set_backward_factors(const GroupShape& s, const GroupScratch& t, int64_t image) {
    const int64_t size = s.channels / s.groups;
    const double count = static_cast<double>(size * s.pixels);
    const float* sums = t.sums + image * s.chunks * 2 * s.channels;
    for (int64_t group = 0; group < s.groups; ++group) {
        double sum = 0;
        double sum_x = 0;
        for (int64_t chunk = 0; chunk < s.chunks; ++chunk) {
            const float* part = sums + chunk * 2 * s.channels;
            for (int64_t c = group * size; c < (group + 1) * size; ++c) {
                const double gamma = static_cast<double>(t.gamma[c]);
                sum += gamma * static_cast<double>(part[c]);
                sum_x += gamma * static_cast<double>(part[s.channels + c]);
            }
        }
        for (int64_t c = group * size; c < (group + 1) * size; ++c) {
            const int64_t at = image * s.channels + c;
            const double rstd = static_cast<double>(t.rstd[at]);
            t.c_dz[at] = t.gamma[c] * t.rstd[at];
            t.c_x[at] = static_cast<float>(-rstd * rstd * sum_x / count);
            t.c_0[at] = static_cast<float>(-rstd * sum / count);
        }
    }
}

void run_group_norm_backward(const Device& device,
                             const GroupShape& s,
                             Elem scale_type,
                             const Args& a) {
    const KernelTable& k = *device.kernels;
    ScratchLayout layout(a.scratch);
    const GroupScratch t = take_group(layout, s, true);
    k.to_float(scale_type, a.in[2], t.gamma, s.channels);
    k.to_float(scale_type, a.in[3], t.beta, s.channels);
    for (int64_t image = 0; image < s.images; ++image) {
        set_scale_and_shift(s, t, a.input<float>(4), image);
    }
    const auto args_of = [&](int64_t image) {
        GroupNormArgs args;
        args.type = s.type;
        args.silu = s.silu;
        args.channels = s.channels;
        args.dy = image_of(a.in[0], s, image);
        args.x = image_of(a.in[1], s, image);
        args.scale = t.scale + image * s.channels;
        args.shift = t.shift + image * s.channels;
        args.mean = t.mean + image * s.channels;
        args.rstd = t.rstd + image * s.channels;
        return args;
    };
    each_piece(device, s, [&](int64_t image, int64_t index, int64_t begin, int64_t end) {
        GroupNormArgs args = args_of(image);
        args.sums = t.sums + index * 2 * s.channels;
        k.group_norm_backward_sums(args, begin, end);
    });
    device.threads.run(s.images, [&](int64_t image, int) { set_backward_factors(s, t, image); });
    each_piece(device, s, [&](int64_t image, int64_t, int64_t begin, int64_t end) {
        GroupNormArgs args = args_of(image);
        args.c_dz = t.c_dz + image * s.channels;
        args.c_x = t.c_x + image * s.channels;
        args.c_0 = t.c_0 + image * s.channels;
        args.dst = image_of(a.out[0], s, image);
        if (a.in[5] != nullptr) args.addend = image_of(a.in[5], s, image);
        k.group_norm_backward_apply(args, begin, end);
    });
}

struct LayerShape {
    Elem type = Elem::kF32;
    Elem scale_type = Elem::kF32;
    int64_t rows = 0;
    int64_t size = 0;
    float eps = 0;
};

LayerShape layer_shape(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    const size_t gamma = n.op == ir::OpKind::kLayerNorm ? 1 : 2;
    LayerShape s;
    s.type = elem_of(x.dtype);
    s.scale_type = elem_of(g.value(n.inputs[gamma]).dtype);
    s.size = x.shape[-1];
    s.rows = x.shape.num_elements() / s.size;
    s.eps = static_cast<float>(n.attrs.eps);
    return s;
}

Program layer_program(const NodeContext& c) {
    const Device& device = c.device;
    const LayerShape s = layer_shape(c.graph, c.node);
    const bool backward = c.node.op == ir::OpKind::kLayerNormBackward;
    Program program;
    program.choice = "own";
    program.run = [&device, s, backward](const Args& a) {
        const KernelTable& k = *device.kernels;
        ScratchLayout layout(a.scratch);
        float* gamma = layout.take<float>(s.size);
        float* beta = layout.take<float>(s.size);
        LayerNormArgs args;
        args.type = s.type;
        args.size = s.size;
        args.eps = s.eps;
        args.gamma = gamma;
        args.beta = beta;
        args.dst = a.out[0];
        if (backward) {
            k.to_float(s.scale_type, a.in[2], gamma, s.size);
            args.dy = a.in[0];
            args.x = a.in[1];
            args.stats = a.input<float>(3);
            args.addend = a.in[4];
        } else {
            k.to_float(s.scale_type, a.in[1], gamma, s.size);
            k.to_float(s.scale_type, a.in[2], beta, s.size);
            args.x = a.in[0];
            args.stats = a.output<float>(1);
        }
        device.threads.split(
            s.rows, std::max<int64_t>(1, 8192 / s.size), [&](int64_t begin, int64_t end) {
                (backward ? k.layer_norm_backward : k.layer_norm)(args, begin, end);
            });
    };
    return program;
}

bool is_group(const ir::Node& n) {
    return n.op == ir::OpKind::kGroupNorm || n.op == ir::OpKind::kGroupNormBackward;
}

bool is_dora(const ir::Node& n) {
    return n.op == ir::OpKind::kDoraScale || n.op == ir::OpKind::kDoraScaleBackward;
}

}  // namespace

size_t norm_scratch(const Device&, const ir::Graph& g, const ir::Node& n) {
    if (is_dora(n)) return 0;
    ScratchLayout layout;
    if (is_group(n)) {
        take_group(layout, group_shape(g, n), n.op == ir::OpKind::kGroupNormBackward);
    } else {
        layout.take<float>(layer_shape(g, n).size);
        layout.take<float>(layer_shape(g, n).size);
    }
    return layout.used();
}

Program norm_program(const NodeContext& c) {
    if (is_dora(c.node)) return dora_scale_program(c);
    if (!is_group(c.node)) return layer_program(c);
    const Device& device = c.device;
    const GroupShape s = group_shape(c.graph, c.node);
    const bool backward = c.node.op == ir::OpKind::kGroupNormBackward;
    const Elem scale_type = elem_of(c.input(backward ? 2 : 1).dtype);
    Program program;
    program.choice = "own";
    program.run = [&device, s, backward, scale_type](const Args& a) {
        (backward ? run_group_norm_backward : run_group_norm)(device, s, scale_type, a);
    };
    return program;
}

}  // namespace lora::cpu
