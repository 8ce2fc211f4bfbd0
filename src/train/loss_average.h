// The running mean of the loss that logs and progress bars show: over the batches of the first
// epoch so far, later over one epoch's batch positions with the newest value at each. Threads plain
// value. Source: training-semantics 13 (loss/average).
#pragma once

#include <cstdint>
#include <vector>

namespace lora::train {

class LossAverage {
public:
    LossAverage() = default;
    explicit LossAverage(std::vector<double> losses) : losses_(std::move(losses)) {}

    // batch_idx counts from 0 within the epoch.
    void add(int64_t batch_idx, double loss);
    [[nodiscard]] double average() const;
    // By batch position; kept in the train state.
    [[nodiscard]] const std::vector<double>& losses() const { return losses_; }

private:
    std::vector<double> losses_;
};

}  // namespace lora::train
