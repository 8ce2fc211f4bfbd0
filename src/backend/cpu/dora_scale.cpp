// DoRA's scale of a weight's rows and its gradient. Rows over the threads; squares summed in fp64.
#include <cmath>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {
namespace {

struct RowShape {
    Elem type = Elem::kF32;
    int64_t rows = 0;
    int64_t length = 0;
    int64_t bytes = 4;  // a row
    double eps = 0;
};

RowShape row_shape(const ir::Value& v, double eps) {
    RowShape s;
    s.type = elem_of(v.dtype);
    s.rows = v.shape[0];
    s.length = s.rows == 0 ? 0 : v.shape.num_elements() / s.rows;
    s.bytes = s.length * static_cast<int64_t>(dtype_bytes(v.dtype));
    s.eps = eps;
    return s;
}

Program forward_program(const NodeContext& c) {
    const Device& device = c.device;
    const RowShape s = row_shape(c.input(0), c.node.attrs.eps);
    Program program;
    program.choice = "own";
    program.run = [&device, s](const Args& a) {
        device.threads.split(s.rows, 1, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const double norm =
                    std::sqrt(device.kernels->sum_squares(s.type, a.in[0] + r * s.bytes, s.length));
                const double m = static_cast<double>(a.input<float>(1)[r]);
                a.output<float>(0)[r] = static_cast<float>(m / (norm + s.eps) - 1);
                a.output<float>(1)[r] = static_cast<float>(norm);
            }
        });
    };
    return program;
}

Program backward_program(const NodeContext& c) {
    const Device& device = c.device;
    const RowShape s = row_shape(c.input(1), c.node.attrs.eps);
    Program program;
    program.choice = "own";
    program.run = [&device, s](const Args& a) {
        device.threads.split(s.rows, 1, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) {
                const double norm = static_cast<double>(a.input<float>(3)[r]);
                const double inverse = 1 / (norm + s.eps);
                const double dm = static_cast<double>(a.input<float>(0)[r]) * inverse;
                const double m = static_cast<double>(a.input<float>(2)[r]);
                ElementwiseArgs args;
                args.type = s.type;
                args.a = a.in[1] + r * s.bytes;
                args.dst = a.out[0] + r * s.bytes;
                args.alpha = norm > 0 ? static_cast<float>(-dm * m * inverse / norm) : 0.0F;
                device.kernels->activation(args, 0, s.length);
                a.output<float>(1)[r] = static_cast<float>(dm);
            }
        });
    };
    return program;
}

}  // namespace

Program dora_scale_program(const NodeContext& c) {
    return c.node.op == ir::OpKind::kDoraScale ? forward_program(c) : backward_program(c);
}

}  // namespace lora::cpu
