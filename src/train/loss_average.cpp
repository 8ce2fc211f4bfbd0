#include "train/loss_average.h"

#include <cstddef>
#include <numeric>

namespace lora::train {

void LossAverage::add(int64_t batch_idx, double loss) {
    const auto idx = static_cast<size_t>(batch_idx);
    if (idx >= losses_.size()) losses_.resize(idx + 1, 0.0);
    losses_[idx] = loss;
}

double LossAverage::average() const {
    if (losses_.empty()) return 0;
    return std::accumulate(losses_.begin(), losses_.end(), 0.0) /
           static_cast<double>(losses_.size());
}

}  // namespace lora::train
