// Gradient norm, clipping and AdamW over flat ranges.
#include <algorithm>
#include <cmath>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

constexpr int64_t kPiece = 16384;

Program sum_squares_program(const NodeContext& c) {
    const Device& device = c.device;
    const Elem type = elem_of(c.input(0).dtype);
    const int64_t bytes = static_cast<int64_t>(dtype_bytes(c.input(0).dtype));
    const int64_t size = c.input(0).shape.num_elements();
    Program program;
    program.choice = "own";
    program.run = [&device, type, bytes, size](const Args& a) {
        double* parts = reinterpret_cast<double*>(a.scratch);
        const int64_t pieces = ceil_div(size, kPiece);
        device.threads.run(pieces, [&](int64_t i, int) {
            parts[i] = device.kernels->sum_squares(
                type, a.in[0] + i * kPiece * bytes, std::min(kPiece, size - i * kPiece));
        });
        double total = a.in[1] == nullptr ? 0.0 : static_cast<double>(*a.input<float>(1));
        for (int64_t i = 0; i < pieces; ++i) total += parts[i];
        *a.output<float>(0) = static_cast<float>(total);
    };
    return program;
}

Program adamw_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::Attributes& attrs = c.node.attrs;
    const int64_t size = c.input(0).shape.num_elements();
    AdamWArgs base;
    base.beta1 = static_cast<float>(attrs.beta1);
    base.beta2 = static_cast<float>(attrs.beta2);
    base.eps = static_cast<float>(attrs.eps);
    base.weight_decay = static_cast<float>(attrs.weight_decay);
    Program program;
    program.choice = "own";
    program.run = [&device, base, size](const Args& a) {
        AdamWArgs args = base;
        args.p = a.input<float>(0);
        args.g = a.input<float>(1);
        args.m = a.input<float>(2);
        args.v = a.input<float>(3);
        args.clip = *a.input<float>(4);
        args.lr = a.input<float>(5)[0];
        args.correction1 = a.input<float>(5)[1];
        args.correction2 = a.input<float>(5)[2];
        device.threads.split(size, kPiece, [&](int64_t begin, int64_t end) {
            device.kernels->adamw(args, begin, end);
        });
    };
    return program;
}

}  // namespace

size_t update_scratch(const Device&, const ir::Graph& g, const ir::Node& n) {
    if (n.op != OpKind::kSumSquares) return 0;
    ScratchLayout layout;
    layout.take<double>(ceil_div(g.value(n.inputs[0]).shape.num_elements(), kPiece));
    return layout.used();
}

Program update_program(const NodeContext& c) {
    if (c.node.op == OpKind::kSumSquares) return sum_squares_program(c);
    if (c.node.op == OpKind::kAdamW) return adamw_program(c);
    const double limit = c.node.attrs.alpha;
    Program program;
    program.choice = "own";
    program.run = [limit](const Args& a) {
        const double norm = std::sqrt(static_cast<double>(*a.input<float>(0)));
        const double coefficient = limit == 0 ? 1.0 : std::min(1.0, limit / (norm + 1e-6));
        *a.output<float>(0) = static_cast<float>(coefficient);
        *a.output<float>(1) = static_cast<float>(norm);
    };
    return program;
}

}  // namespace lora::cpu
