// The weighted loss and its gradient. Sums in fp64, pieces in their order.
#include <algorithm>

#include "backend/cpu/internal/device.h"
#include "backend/loss_rules.h"

namespace lora::cpu {
namespace {

constexpr int64_t kPiece = 16384;

struct LossShape {
    Elem type = Elem::kF32;
    int64_t rows = 0;
    int64_t size = 0;
    int64_t bytes = 4;
    int64_t pieces = 0;     // of a row
    int64_t mask_size = 0;  // elements a row; 0: no mask
    ir::LossKind kind = ir::LossKind::kL2;
    [[nodiscard]] bool is_plain() const { return mask_size == 0 && kind == ir::LossKind::kL2; }
};

LossShape loss_shape(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    LossShape s;
    s.type = elem_of(x.dtype);
    s.rows = x.shape[0];
    s.size = x.shape.num_elements() / s.rows;
    s.bytes = static_cast<int64_t>(dtype_bytes(x.dtype));
    s.pieces = ceil_div(s.size, kPiece);
    s.kind = n.attrs.loss;
    if (n.inputs[3].valid()) s.mask_size = g.value(n.inputs[3]).shape.num_elements() / s.rows;
    return s;
}

// Elements [begin, begin + count) of a row, as floats.
struct Piece {
    int64_t row = 0;
    int64_t begin = 0;
    int64_t count = 0;
    std::vector<float> prediction;
    std::vector<float> target;
    std::vector<float> mask;
    float c = 0;
};

Piece load_piece(const Device& device, const LossShape& s, const Args& a, int64_t index) {
    Piece piece;
    piece.row = index / s.pieces;
    piece.begin = index % s.pieces * kPiece;
    piece.count = std::min(kPiece, s.size - piece.begin);
    const auto count = static_cast<size_t>(piece.count);
    const int64_t at = (piece.row * s.size + piece.begin) * s.bytes;
    piece.prediction.resize(count);
    piece.target.resize(count);
    piece.mask.assign(count, 1.0F);
    device.kernels->to_float(s.type, a.in[0] + at, piece.prediction.data(), piece.count);
    device.kernels->to_float(s.type, a.in[1] + at, piece.target.data(), piece.count);
    for (size_t i = 0; s.mask_size > 0 && i < count; ++i) {
        const int64_t place = (piece.begin + static_cast<int64_t>(i)) % s.mask_size;
        piece.mask[i] = a.input<float>(3)[piece.row * s.mask_size + place];
    }
    if (a.in[4] != nullptr) piece.c = a.input<float>(4)[piece.row];
    return piece;
}

double sum_piece(const Device& device, const LossShape& s, const Args& a, int64_t index) {
    if (s.is_plain()) {
        const int64_t begin = index % s.pieces * kPiece;
        const int64_t at = (index / s.pieces * s.size + begin) * s.bytes;
        return device.kernels->sum_squared_differences(
            s.type, a.in[0] + at, a.in[1] + at, std::min(kPiece, s.size - begin));
    }
    const Piece piece = load_piece(device, s, a, index);
    double sum = 0;
    for (size_t i = 0; i < piece.mask.size(); ++i) {
        const float d = piece.prediction[i] - piece.target[i];
        sum += static_cast<double>(piece.mask[i] * backend::loss_value(s.kind, d, piece.c));
    }
    return sum;
}

void run_loss(const Device& device, const LossShape& s, const Args& a) {
    double* parts = reinterpret_cast<double*>(a.scratch);
    device.threads.run(s.rows * s.pieces,
                       [&](int64_t index, int) { parts[index] = sum_piece(device, s, a, index); });
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

void run_backward(
    const Device& device, const LossShape& s, const Args& a, int64_t index, double alpha) {
    const int64_t row = index / s.pieces;
    const int64_t begin = index % s.pieces * kPiece;
    const int64_t at = (row * s.size + begin) * s.bytes;
    const double weight = static_cast<double>(a.input<float>(2)[row]);
    const auto factor = static_cast<float>(alpha * weight / static_cast<double>(s.size * s.rows));
    if (s.is_plain()) {
        ElementwiseArgs args;
        args.type = s.type;
        args.a = a.in[0] + at;
        args.b = a.in[1] + at;
        args.dst = a.out[0] + at;
        args.alpha = 2.0F * factor;
        args.beta = -args.alpha;
        device.kernels->mix(args, 0, std::min(kPiece, s.size - begin));
        return;
    }
    Piece piece = load_piece(device, s, a, index);
    for (size_t i = 0; i < piece.mask.size(); ++i) {
        const float d = piece.prediction[i] - piece.target[i];
        piece.prediction[i] = factor * piece.mask[i] * backend::loss_slope(s.kind, d, piece.c);
    }
    device.kernels->from_float(s.type, piece.prediction.data(), a.out[0] + at, piece.count);
}

}  // namespace

size_t loss_scratch(const Device&, const ir::Graph& g, const ir::Node& n) {
    if (n.op != ir::OpKind::kWeightedLoss) return 0;
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
    if (c.node.op == ir::OpKind::kWeightedLoss) {
        program.run = [&device, s](const Args& a) { run_loss(device, s, a); };
        return program;
    }
    const double alpha = c.node.attrs.alpha;
    program.run = [&device, s, alpha](const Args& a) {
        device.threads.run(s.rows * s.pieces,
                           [&](int64_t index, int) { run_backward(device, s, a, index, alpha); });
    };
    return program;
}

}  // namespace lora::cpu
