// Operators that make values from integers and timesteps.
#include <algorithm>
#include <cmath>

#include "backend/reference/internal/kernel.h"
#include "base/check.h"

namespace lora::reference::ops {

void embedding(const NodeRun& run) {
    const int64_t num_rows = run.input(1).shape[0];
    const int64_t size = run.input(1).shape[1];
    const Doubles ids = run.load(0);
    Doubles y = run.zeros_like_output(0);
    for (size_t i = 0; i < ids.size(); ++i) {
        const int64_t id = static_cast<int64_t>(ids[i]);
        LORA_CHECK(id >= 0 && id < num_rows, "id outside the embedding table");
        const Doubles row = run.load_range(1, id * size, size);
        std::copy(row.begin(), row.end(), y.begin() + static_cast<int64_t>(i) * size);
    }
    run.store(0, y);
}

void timestep_embedding(const NodeRun& run) {
    const int64_t size = run.attrs().size;
    const int64_t half = size / 2;
    const Doubles t = run.load(0);
    Doubles y = run.zeros_like_output(0);
    for (size_t n = 0; n < t.size(); ++n) {
        double* row = y.data() + static_cast<int64_t>(n) * size;
        for (int64_t i = 0; i < half; ++i) {
            const double exponent = -static_cast<double>(i) / static_cast<double>(half);
            const double angle = t[n] * std::pow(10000.0, exponent);
            row[i] = std::cos(angle);
            row[half + i] = std::sin(angle);
        }
    }
    run.store(0, y);
}

void dequantize(const NodeRun& run) {
    const Doubles scale = run.load(1);
    Doubles y = run.load(0);
    const size_t length = y.size() / scale.size();
    for (size_t i = 0; i < y.size(); ++i) y[i] = (y[i] - 128) * scale[i / length];
    run.store(0, y);
}

}  // namespace lora::reference::ops
