// The weighted loss and its gradient.
// Source   mean square: Ho et al., arXiv:2006.11239; huber and smooth_l1 as sd-scripts writes them
//          (training-semantics 5.6).
#include <cmath>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {
namespace {

double loss_of(ir::LossKind kind, double d, double c) {
    switch (kind) {
        case ir::LossKind::kL2: return d * d;
        case ir::LossKind::kL1: return std::abs(d);
        case ir::LossKind::kHuber: return 2 * c * (std::sqrt(d * d + c * c) - c);
        case ir::LossKind::kSmoothL1: return 2 * (std::sqrt(d * d + c * c) - c);
    }
    return 0;
}

double slope_of(ir::LossKind kind, double d, double c) {
    switch (kind) {
        case ir::LossKind::kL2: return 2 * d;
        case ir::LossKind::kL1: return d > 0 ? 1.0 : (d < 0 ? -1.0 : 0.0);
        case ir::LossKind::kHuber: return 2 * c * d / std::sqrt(d * d + c * c);
        case ir::LossKind::kSmoothL1: return 2 * d / std::sqrt(d * d + c * c);
    }
    return 0;
}

struct Operands {
    Doubles prediction;
    Doubles target;
    Doubles weights;
    Doubles mask;  // empty: ones
    Doubles c;
    size_t row = 0;
    size_t mask_row = 0;

    explicit Operands(const NodeRun& run)
        : prediction(run.load(0)), target(run.load(1)), weights(run.load(2)) {
        if (run.has(3)) mask = run.load(3);
        c = run.has(4) ? run.load(4) : Doubles(weights.size(), 0.0);
        row = prediction.size() / weights.size();
        mask_row = mask.size() / weights.size();
    }
    [[nodiscard]] double masked(size_t i) const {
        return mask.empty() ? 1.0 : mask[i / row * mask_row + i % row % mask_row];
    }
};

}  // namespace

void weighted_loss(const NodeRun& run) {
    const Operands o(run);
    Doubles losses(o.weights.size(), 0.0);
    for (size_t i = 0; i < o.prediction.size(); ++i) {
        const double f = loss_of(run.attrs().loss, o.prediction[i] - o.target[i], o.c[i / o.row]);
        losses[i / o.row] += o.masked(i) * f / static_cast<double>(o.row);
    }
    double loss = 0;
    for (size_t n = 0; n < losses.size(); ++n) {
        loss += o.weights[n] * losses[n] / static_cast<double>(losses.size());
    }
    run.store(0, Doubles{loss});
    run.store(1, losses);
}

void weighted_loss_backward(const NodeRun& run) {
    const Operands o(run);
    Doubles gradient(o.prediction.size());
    for (size_t i = 0; i < gradient.size(); ++i) {
        const double slope =
            slope_of(run.attrs().loss, o.prediction[i] - o.target[i], o.c[i / o.row]);
        gradient[i] = run.attrs().alpha * o.weights[i / o.row] * o.masked(i) * slope /
                      static_cast<double>(gradient.size());
    }
    run.store(0, gradient);
}

}  // namespace lora::reference::ops
