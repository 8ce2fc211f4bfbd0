// The weighted mean square and its gradient.
#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {

void weighted_mse(const NodeRun& run) {
    const Doubles prediction = run.load(0);
    const Doubles target = run.load(1);
    const Doubles weights = run.load(2);
    const size_t row = prediction.size() / weights.size();
    Doubles losses(weights.size(), 0.0);
    for (size_t i = 0; i < prediction.size(); ++i) {
        const double difference = prediction[i] - target[i];
        losses[i / row] += difference * difference / static_cast<double>(row);
    }
    double loss = 0;
    for (size_t n = 0; n < losses.size(); ++n) {
        loss += weights[n] * losses[n] / static_cast<double>(losses.size());
    }
    run.store(0, Doubles{loss});
    run.store(1, losses);
}

void weighted_mse_backward(const NodeRun& run) {
    Doubles prediction = run.load(0);
    const Doubles target = run.load(1);
    const Doubles weights = run.load(2);
    const size_t row = prediction.size() / weights.size();
    for (size_t i = 0; i < prediction.size(); ++i) {
        prediction[i] = run.attrs().alpha * weights[i / row] * 2 * (prediction[i] - target[i]) /
                        static_cast<double>(prediction.size());
    }
    run.store(0, prediction);
}

}  // namespace lora::reference::ops
