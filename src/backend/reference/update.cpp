// The optimizer's operators.
#include <algorithm>
#include <cmath>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {

void sum_squares(const NodeRun& run) {
    double sum = run.has(1) ? run.load(1)[0] : 0.0;
    for (const double value : run.load(0)) sum += value * value;
    run.store(0, Doubles{sum});
}

void clip_coefficient(const NodeRun& run) {
    const double norm = std::sqrt(run.load(0)[0]);
    const double max_norm = run.attrs().alpha;
    run.store(0, Doubles{max_norm == 0 ? 1.0 : std::min(1.0, max_norm / (norm + 1e-6))});
    run.store(1, Doubles{norm});
}

void adamw(const NodeRun& run) {
    const ir::Attributes& attrs = run.attrs();
    Doubles p = run.load(0);
    const Doubles g = run.load(1);
    Doubles m = run.load(2);
    Doubles v = run.load(3);
    const double clip = run.load(4)[0];
    const Doubles schedule = run.load(5);
    const double lr = schedule[0];
    const double bias_correction1 = schedule[1];
    const double bias_correction2 = schedule[2];
    for (size_t i = 0; i < p.size(); ++i) {
        const double gradient = clip * g[i];
        p[i] *= 1 - lr * attrs.weight_decay;
        m[i] = attrs.beta1 * m[i] + (1 - attrs.beta1) * gradient;
        v[i] = attrs.beta2 * v[i] + (1 - attrs.beta2) * gradient * gradient;
        p[i] -= lr / bias_correction1 * m[i] /
                (std::sqrt(v[i]) / std::sqrt(bias_correction2) + attrs.eps);
    }
    run.store_input(0, p);
    run.store_input(2, m);
    run.store_input(3, v);
}

}  // namespace lora::reference::ops
