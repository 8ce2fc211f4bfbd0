// The weighted mean square and its gradient. Sums in fp64, pieces in their order.
#include <algorithm>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {
namespace {

constexpr int64_t kPiece = 16384;

struct LossShape {
    Elem type = Elem::kF32;
    int64_t rows = 0;
    int64_t size = 0;
    int64_t bytes = 4;
    int64_t pieces = 0;  // of a row
};

LossShape loss_shape(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    LossShape s;
    s.type = elem_of(x.dtype);
    s.rows = x.shape[0];
    s.size = x.shape.num_elements() / s.rows;
    s.bytes = static_cast<int64_t>(dtype_bytes(x.dtype));
    s.pieces = ceil_div(s.size, kPiece);
    return s;
}

void run_loss(const Device& device, const LossShape& s, const Args& a) {
    double* parts = reinterpret_cast<double*>(a.scratch);
    device.threads.run(s.rows * s.pieces, [&](int64_t index, int) {
        const int64_t begin = index % s.pieces * kPiece;
        const int64_t at = (index / s.pieces * s.size + begin) * s.bytes;
        parts[index] = device.kernels->sum_squared_differences(
            s.type, a.in[0] + at, a.in[1] + at, std::min(kPiece, s.size - begin));
    });
    const float* weights = a.input<float>(2);
    double loss = 0;
    for (int64_t row = 0; row < s.rows; ++row) {
        double sum = 0;
        for (int64_t i = 0; i < s.pieces; ++i) sum += parts[row * s.pieces + i];
        const double mean = sum / static_cast<double>(s.size);
        a.output<float>(1)[row] = static_cast<float>(mean);
        loss += static_cast<double>(weights[row]) * mean;
    }
    *a.output<float>(0) = static_cast<float>(loss / static_cast<double>(s.rows));
}

}  // namespace

size_t loss_scratch(const Device&, const ir::Graph& g, const ir::Node& n) {
    if (n.op != ir::OpKind::kWeightedMse) return 0;
    const LossShape s = loss_shape(g, n);
    ScratchLayout layout;
    layout.take<double>(s.rows * s.pieces);
    return layout.used();
}

Program loss_program(const NodeContext& c) {
    const Device& device = c.device;
    const LossShape s = loss_shape(c.graph, c.node);
    Program program;
    program.choice = "own";
    if (c.node.op == ir::OpKind::kWeightedMse) {
        program.run = [&device, s](const Args& a) { run_loss(device, s, a); };
        return program;
    }
    const double alpha = c.node.attrs.alpha;
    program.run = [&device, s, alpha](const Args& a) {
        device.threads.run(s.rows * s.pieces, [&](int64_t index, int) {
            const int64_t row = index / s.pieces;
            const int64_t begin = index % s.pieces * kPiece;
            const int64_t at = (row * s.size + begin) * s.bytes;
            const double weight = static_cast<double>(a.input<float>(2)[row]);
            const double factor = 2.0 * alpha * weight / static_cast<double>(s.size * s.rows);
            ElementwiseArgs args;
            args.type = s.type;
            args.a = a.in[0] + at;
            args.b = a.in[1] + at;
            args.dst = a.out[0] + at;
            args.alpha = static_cast<float>(factor);
            args.beta = -args.alpha;
            device.kernels->mix(args, 0, std::min(kPiece, s.size - begin));
        });
    };
    return program;
}

}  // namespace lora::cpu
