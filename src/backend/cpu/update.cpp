// Gradient norm, clipping and the optimizer's methods over the flat parameters.
#include <algorithm>
#include <cmath>

#include "backend/cpu/internal/device.h"
#include "backend/norm_limit.h"
#include "backend/update_globals.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

constexpr int64_t kPiece = 16384;
constexpr int64_t kPiecesAtOnce = 8;  // of the optimizer's table, about as many elements

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

Program clip_program(const NodeContext& c) {
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

Program globals_program(const NodeContext& c) {
    backend::UpdateGlobalsArgs base;
    base.rule = c.node.attrs.update.rule;
    base.k = backend::update_constants(c.node.attrs.update);
    Program program;
    program.choice = "own";
    program.run = [base](const Args& a) {
        backend::UpdateGlobalsArgs args = base;
        args.globals = a.input<float>(0);
        args.schedule = a.input<float>(1);
        args.sums = a.input<float>(2);
        args.sum_squares = a.input<float>(3);
        args.clip = a.input<float>(4);
        args.scalars = a.output<float>(0);
        backend::begin_update(args);
        if (args.sums != nullptr) backend::end_update(args);
    };
    return program;
}

// update_sums and update_step.
backend::UpdateArgs update_args(const Args& a, const backend::UpdateConstants& constants) {
    backend::UpdateArgs args;
    args.p = a.input<float>(0);
    args.g = a.input<float>(1);
    for (int i = 0; i < backend::kMaxUpdateStates; ++i) {
        args.s[i] = a.input<float>(static_cast<size_t>(i) + 2);
    }
    args.clip = a.input<float>(7);
    args.schedule = a.input<float>(8);
    args.pieces = a.input<int32_t>(9);
    args.scalars = a.input<float>(10);
    args.k = constants;
    return args;
}

Program sums_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::UpdateRule rule = c.node.attrs.update.rule;
    const backend::UpdateConstants k = backend::update_constants(c.node.attrs.update);
    const int64_t pieces = c.input(9).shape[0];
    Program program;
    program.choice = "own";
    program.run = [&device, rule, k, pieces](const Args& a) {
        backend::UpdateArgs args = update_args(a, k);
        args.partial = reinterpret_cast<double*>(a.scratch);
        device.threads.split(pieces, kPiecesAtOnce, [&](int64_t begin, int64_t end) {
            device.kernels->update_sums(rule, args, begin, end);
        });
        double totals[backend::kNumUpdateSums] = {};
        for (int64_t i = 0; i < pieces * backend::kNumUpdateSums; ++i) {
            totals[i % backend::kNumUpdateSums] += args.partial[i];
        }
        for (int i = 0; i < backend::kNumUpdateSums; ++i) {
            a.output<float>(0)[i] = static_cast<float>(totals[i]);
        }
    };
    return program;
}

Program step_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::UpdateRule rule = c.node.attrs.update.rule;
    const backend::UpdateConstants k = backend::update_constants(c.node.attrs.update);
    const int64_t pieces = c.input(9).shape[0];
    const bool waits = ir::has_update_sums(rule);
    Program program;
    program.choice = "own";
    program.run = [&device, rule, k, pieces, waits](const Args& a) {
        const backend::UpdateArgs args = update_args(a, k);
        if (waits && args.scalars[2] == 0.0F) return;
        device.threads.split(pieces, kPiecesAtOnce, [&](int64_t begin, int64_t end) {
            device.kernels->update_step(rule, args, begin, end);
        });
    };
    return program;
}

Program step_8bit_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::UpdateRule rule = c.node.attrs.update.rule;
    backend::Update8bitArgs base;
    base.k = backend::update_constants(c.node.attrs.update);
    base.k.decay_last = 1;
    const int64_t pieces = c.input(8).shape[0];
    Program program;
    program.choice = "own";
    program.run = [&device, rule, base, pieces](const Args& a) {
        backend::Update8bitArgs args = base;
        args.p = a.input<float>(0);
        args.g = a.input<float>(1);
        for (size_t i = 0; i < 2; ++i) {
            args.q[i] = a.input<uint8_t>(2 + 2 * i);
            args.absmax[i] = a.input<float>(3 + 2 * i);
        }
        args.clip = a.input<float>(6);
        args.schedule = a.input<float>(7);
        args.pieces = a.input<int32_t>(8);
        args.maps = a.input<float>(9);
        device.threads.split(pieces, 8 * kPiecesAtOnce, [&](int64_t begin, int64_t end) {
            device.kernels->update_step_8bit(rule, args, begin, end);
        });
    };
    return program;
}

Program factored_program(const NodeContext& c) {
    const Device& device = c.device;
    backend::UpdateFactoredArgs base;
    base.k = backend::update_constants(c.node.attrs.update);
    base.is_came = c.node.attrs.update.rule == ir::UpdateRule::kCame ? 1 : 0;
    base.num_tensors = c.input(9).shape[0];
    Program program;
    program.choice = "own";
    program.run = [&device, base](const Args& a) {
        backend::UpdateFactoredArgs args = base;
        args.p = a.input<float>(0);
        args.g = a.input<float>(1);
        args.row = a.input<float>(2);
        args.col = a.input<float>(3);
        args.m = a.input<float>(4);
        args.res_row = a.input<float>(5);
        args.res_col = a.input<float>(6);
        args.clip = a.input<float>(7);
        args.schedule = a.input<float>(8);
        args.tensors = a.input<int32_t>(9);
        args.direction = reinterpret_cast<float*>(a.scratch);
        device.threads.split(args.num_tensors, 1, [&](int64_t begin, int64_t end) {
            device.kernels->update_factored(args, begin, end);
        });
    };
    return program;
}

Program limit_norm_program(const NodeContext& c) {
    const Device& device = c.device;
    const double most = c.node.attrs.alpha;
    std::vector<int64_t> sizes;
    sizes.reserve(ir::kMostLimitFactors);
    for (int i = 0; i < ir::kMostLimitFactors; ++i) {
        sizes.push_back(c.has_input(i) ? c.input(i).shape.num_elements() : 0);
    }
    const auto count =
        std::count_if(sizes.begin(), sizes.end(), [](int64_t size) { return size > 0; });
    Program program;
    program.choice = "own";
    program.run = [&device, most, sizes, count](const Args& a) {
        const double norm = std::sqrt(static_cast<double>(*a.input<float>(6)));
        const double ratio = backend::limit_ratio(norm, most);
        backend::count_limit(norm, ratio, a.input<float>(7));
        if (ratio == 1) return;
        ElementwiseArgs args;
        args.alpha = static_cast<float>(std::pow(ratio, 1.0 / static_cast<double>(count)));
        for (size_t i = 0; i < sizes.size(); ++i) {
            args.a = a.in[i];
            args.dst = a.in[i];
            device.threads.split(sizes[i], kPiece, [&](int64_t begin, int64_t end) {
                device.kernels->activation(args, begin, end);
            });
        }
    };
    return program;
}

}  // namespace

size_t update_scratch(const Device&, const ir::Graph& g, const ir::Node& n) {
    const auto size = [&](size_t i) { return g.value(n.inputs[i]).shape.num_elements(); };
    ScratchLayout layout;
    if (n.op == OpKind::kSumSquares) layout.take<double>(ceil_div(size(0), kPiece));
    if (n.op == OpKind::kUpdateSums) layout.take<double>(size(9));  // four numbers a row of four
    if (n.op == OpKind::kUpdateFactored) layout.take<float>(size(0));
    return layout.used();
}

Program update_program(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kSumSquares: return sum_squares_program(c);
        case OpKind::kClipCoefficient: return clip_program(c);
        case OpKind::kUpdateGlobals: return globals_program(c);
        case OpKind::kUpdateSums: return sums_program(c);
        case OpKind::kUpdateStep: return step_program(c);
        case OpKind::kUpdateStep8bit: return step_8bit_program(c);
        case OpKind::kLimitNorm: return limit_norm_program(c);
        default: return factored_program(c);
    }
}

}  // namespace lora::cpu
