// Linear layers and convolutions: which product of gemm.h or of the library a node becomes.
#include <cstring>

#include <fmt/format.h>

#include "backend/cpu/internal/gemm.h"
#include "backend/cpu/internal/library.h"
#include "backend/cpu/internal/packing.h"
#include "backend/cpu/internal/weight.h"
#include "base/check.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

// The products of a node in forward form: one, or one per phase of a strided convolution's input.
struct ForwardForm {
    std::vector<GemmShape> shapes;
    MatrixView matrix;  // of the weight, without data
    int bias_slot = -1;
    int addend_slot = -1;
};

const ir::Value& input(const ir::Graph& g, const ir::Node& n, size_t i) {
    return g.value(n.inputs[i]);
}
const ir::Value& output(const ir::Graph& g, const ir::Node& n) { return g.value(n.outputs[0]); }

ForwardForm linear_form(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = input(g, n, 0);
    const ir::Value& w = input(g, n, 1);
    const int in_axis = n.attrs.transpose_weight ? 0 : 1;
    ForwardForm f;
    GemmShape shape;
    shape.channels = w.shape[in_axis];
    shape.cols = w.shape[1 - in_axis];
    shape.grid = linear_grid(x.shape.num_elements() / shape.channels);
    f.shapes.push_back(shape);
    f.matrix = {elem_of(w.dtype),
                nullptr,
                1,
                shape.channels,
                shape.cols,
                0,
                n.attrs.transpose_weight ? shape.cols : 1,
                n.attrs.transpose_weight ? 1 : shape.channels};
    f.bias_slot = n.inputs[2].valid() ? 2 : -1;
    f.addend_slot = n.inputs[3].valid() ? 3 : -1;
    return f;
}

Grid conv_grid(const ir::Value& points,
               const ir::Value& source,
               const ir::Attributes& attrs,
               int64_t kernel_height,
               int64_t kernel_width) {
    Grid grid;
    grid.images = points.shape[0];
    grid.height = grid.dst_height = points.shape[2];
    grid.width = grid.dst_width = points.shape[3];
    grid.src_height = source.shape[2];
    grid.src_width = source.shape[3];
    grid.src_step = attrs.stride;
    grid.taps.clear();
    for (int64_t y = 0; y < kernel_height; ++y) {
        for (int64_t x = 0; x < kernel_width; ++x) {
            grid.taps.push_back({y - attrs.pad[0], x - attrs.pad[1], y * kernel_width + x});
        }
    }
    return grid;
}

ForwardForm conv_form(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = input(g, n, 0);
    const ir::Value& w = input(g, n, 1);
    const int64_t taps = w.shape[2] * w.shape[3];
    ForwardForm f;
    GemmShape shape;
    shape.channels = w.shape[1];
    shape.cols = w.shape[0];
    shape.grid = conv_grid(output(g, n), x, n.attrs, w.shape[2], w.shape[3]);
    f.shapes.push_back(shape);
    const bool last = w.layout == ir::Layout::kChannelsLast;
    f.matrix = {elem_of(w.dtype),
                nullptr,
                taps,
                shape.channels,
                shape.cols,
                last ? shape.channels : 1,
                last ? 1 : taps,
                shape.channels * taps};
    f.bias_slot = n.inputs[2].valid() ? 2 : -1;
    f.addend_slot = n.inputs[3].valid() ? 3 : -1;
    return f;
}

// Pixel p of the input gets, through tap t, the gradient of point (p + pad - t) / stride where that
// divides: for each remainder of p a product of its own, with the taps that fit.
ForwardForm conv_backward_form(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& dy = input(g, n, 0);
    const ir::Value& w = input(g, n, 1);
    const ir::Value& dx = output(g, n);
    const int64_t stride = n.attrs.stride;
    const int64_t taps = w.shape[2] * w.shape[3];
    ForwardForm f;
    for (int64_t phase = 0; phase < stride * stride; ++phase) {
        GemmShape shape;
        shape.channels = w.shape[0];
        shape.cols = w.shape[1];
        Grid& grid = shape.grid;
        grid.dst_y = phase / stride;
        grid.dst_x = phase % stride;
        grid.dst_step = stride;
        grid.images = dx.shape[0];
        grid.dst_height = dx.shape[2];
        grid.dst_width = dx.shape[3];
        grid.height = ceil_div(dx.shape[2] - grid.dst_y, stride);
        grid.width = ceil_div(dx.shape[3] - grid.dst_x, stride);
        grid.src_height = dy.shape[2];
        grid.src_width = dy.shape[3];
        grid.taps.clear();
        for (int64_t tap = 0; tap < taps; ++tap) {
            const int64_t y = grid.dst_y + n.attrs.pad[0] - tap / w.shape[3];
            const int64_t x = grid.dst_x + n.attrs.pad[1] - tap % w.shape[3];
            if (y % stride == 0 && x % stride == 0) {
                grid.taps.push_back({y / stride, x / stride, tap});
            }
        }
        if (grid.num_rows() > 0) f.shapes.push_back(shape);
    }
    const bool last = w.layout == ir::Layout::kChannelsLast;
    f.matrix = {elem_of(w.dtype),
                nullptr,
                taps,
                w.shape[0],
                w.shape[1],
                last ? w.shape[1] : 1,
                w.shape[1] * taps,
                last ? 1 : taps};
    f.addend_slot = n.inputs[2].valid() ? 2 : -1;
    return f;
}

ForwardForm forward_form(const ir::Graph& g, const ir::Node& n) {
    if (n.op == OpKind::kLinear) return linear_form(g, n);
    return n.op == OpKind::kConv2d ? conv_form(g, n) : conv_backward_form(g, n);
}

GradientShape gradient_shape(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& dy = input(g, n, 0);
    const ir::Value& x = input(g, n, 1);
    GradientShape s;
    if (n.op == OpKind::kLinearBackwardWeight) {
        s.rows = dy.shape[-1];
        s.cols = x.shape[-1];
        s.grid = linear_grid(dy.shape.num_elements() / s.rows);
        s.dst_row = s.cols;
        return s;
    }
    s.rows = dy.shape[1];
    s.cols = x.shape[1];
    s.grid = conv_grid(dy, x, n.attrs, n.attrs.kernel[0], n.attrs.kernel[1]);
    const int64_t taps = n.attrs.kernel[0] * n.attrs.kernel[1];
    const bool last = n.attrs.layout == ir::Layout::kChannelsLast;
    s.dst_step = last ? 1 : taps;
    s.dst_tap = last ? s.cols : 1;
    s.dst_row = s.cols * taps;
    return s;
}

bool is_gradient(const ir::Node& n) {
    return n.op == OpKind::kLinearBackwardWeight || n.op == OpKind::kConv2dBackwardWeight;
}

bool is_weight(const ir::Graph& g, const ir::Node& n) {
    return input(g, n, 1).kind == ir::ValueKind::kWeight;
}

struct ForwardScratch {
    float* bias = nullptr;
    float* panels = nullptr;
    std::byte* products = nullptr;
};

ForwardScratch take_forward(ScratchLayout& layout,
                            const Device& device,
                            const ForwardForm& f,
                            bool frozen) {
    ForwardScratch s;
    const MatrixView& m = f.matrix;
    s.bias = layout.take<float>(f.bias_slot >= 0 ? m.cols : 0);
    s.panels =
        layout.take<float>(frozen ? 0 : packed_size(*device.kernels, m.taps, m.depth, m.cols));
    size_t products = 0;
    for (const GemmShape& shape : f.shapes)
        products = std::max(products, gemm_scratch(device, shape));
    s.products = layout.take<std::byte>(static_cast<int64_t>(products));
    return s;
}

Program own_forward_program(const NodeContext& c) {
    const Device& device = c.device;
    const ForwardForm form = forward_form(c.graph, c.node);
    const std::shared_ptr<CpuWeight> weight = c.weight(1);
    std::shared_ptr<Memory> panels;
    Program program;
    program.choice = "own gemm";
    if (weight != nullptr) {
        const std::string name =
            fmt::format("panels {} {}", form.matrix.depth_stride, form.matrix.col_stride);
        panels = weight->form(name, [&](const TensorView& elements) {
            MatrixView m = form.matrix;
            m.data = elements.bytes.data();
            const int64_t size = packed_size(*device.kernels, m.taps, m.depth, m.cols);
            auto memory =
                std::make_shared<Memory>(static_cast<size_t>(size) * dtype_bytes(weight->dtype()));
            pack_matrix(device, m, m.type, memory->data());
            return memory;
        });
        program.held_inputs = 1U << 1;
    }
    const Elem type = elem_of(c.input(0).dtype);
    const Elem bias_type = form.bias_slot >= 0 ? elem_of(c.input(form.bias_slot).dtype) : type;
    const float alpha = static_cast<float>(c.node.attrs.alpha);
    program.run = [&device, form, panels, type, bias_type, alpha](const Args& args) {
        ScratchLayout layout(args.scratch);
        const ForwardScratch s = take_forward(layout, device, form, panels != nullptr);
        GemmOperands o;
        o.type = type;
        o.src = args.in[0];
        o.dst = args.out[0];
        o.alpha = alpha;
        o.scratch = s.products;
        if (form.bias_slot >= 0) {
            device.kernels->to_float(
                bias_type, args.in[static_cast<size_t>(form.bias_slot)], s.bias, form.matrix.cols);
            o.bias = s.bias;
        }
        if (form.addend_slot >= 0) o.addend = args.in[static_cast<size_t>(form.addend_slot)];
        if (panels != nullptr) {
            o.b = panels->data();
            o.b_type = form.matrix.type;
        } else {
            MatrixView m = form.matrix;
            m.data = args.in[1];
            pack_matrix(device, m, Elem::kF32, s.panels);
            o.b = s.panels;
        }
        for (const GemmShape& shape : form.shapes) gemm(device, shape, o);
    };
    return program;
}

Program gradient_program(const NodeContext& c) {
    const Device& device = c.device;
    const GradientShape shape = gradient_shape(c.graph, c.node);
    const Elem type = elem_of(c.input(0).dtype);
    const float alpha = static_cast<float>(c.node.attrs.alpha);
    const bool accumulate = c.node.attrs.accumulate;
    const Elem dst_type = elem_of(c.output().dtype);
    const int64_t count = c.output().shape.num_elements();
    Program program;
    program.choice = "own gemm";
    program.run = [=, &device](const Args& args) {
        ScratchLayout layout(args.scratch);
        GradientOperands o;
        o.type = type;
        o.a = args.in[0];
        o.b = args.in[1];
        o.dst = dst_type == Elem::kF32 ? args.output<float>(0) : layout.take<float>(count);
        o.alpha = alpha;
        o.accumulate = accumulate;
        o.scratch = layout.take<std::byte>(static_cast<int64_t>(gradient_scratch(device, shape)));
        gradient(device, shape, o);
        if (dst_type == Elem::kF32) return;
        constexpr int64_t kGrain = 1 << 14;
        device.threads.split(count, kGrain, [&](int64_t begin, int64_t end) {
            device.kernels->from_float(
                dst_type, o.dst + begin, args.out[0] + 2 * begin, end - begin);
        });
    };
    return program;
}

}  // namespace

size_t product_scratch(const Device& d, const ir::Graph& g, const ir::Node& n) {
    if (d.library != nullptr && d.library->takes(d, g, n)) return d.library->scratch_bytes(d, g, n);
    if (is_gradient(n)) {
        ScratchLayout layout;
        if (output(g, n).dtype != DType::kF32) {
            layout.take<float>(output(g, n).shape.num_elements());
        }
        layout.take<std::byte>(static_cast<int64_t>(gradient_scratch(d, gradient_shape(g, n))));
        return layout.used();
    }
    ScratchLayout layout;
    take_forward(layout, d, forward_form(g, n), is_weight(g, n));
    return layout.used();
}

Program product_program(const NodeContext& c) {
    LORA_CHECK(c.node.op != OpKind::kLinear || !c.has_input(4),
               "the planner joins no products for this backend");
    Library* library = c.device.library.get();
    if (library != nullptr && library->takes(c.device, c.graph, c.node)) return library->program(c);
    if (is_gradient(c.node)) return gradient_program(c);
    return own_forward_program(c);
}

}  // namespace lora::cpu
