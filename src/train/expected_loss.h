// What the base model's loss is at a timestep, from some measurements on the run's pictures: a
// step's loss divided by it tells how far the training has come, while the loss itself mostly tells
// which timesteps were drawn. Not the measuring (probe.h). Threads  plain value.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lora::train {

class ExpectedLoss {
public:
    struct Point {
        int64_t timestep = 0;
        double loss = 0;  // of one picture with one noise, unweighted
        bool operator==(const Point&) const = default;
    };

    ExpectedLoss() = default;
    explicit ExpectedLoss(const std::vector<Point>& points);

    [[nodiscard]] bool empty() const { return points_.empty(); }
    // A straight line through the neighbouring measurements, log loss over log noise level, so
    // scaled that the measurements are 1 on average.
    [[nodiscard]] double at(int64_t timestep) const;
    // Mean over the samples of loss / at(timestep); what is not finite stays so.
    [[nodiscard]] double relative(std::span<const float> losses,
                                  std::span<const int64_t> timesteps) const;
    // As given.
    [[nodiscard]] const std::vector<Point>& points() const { return points_; }

private:
    [[nodiscard]] double smooth(double level) const;

    std::vector<Point> points_;
    std::vector<double> levels_;  // log of the noise level at each point
    double scale_ = 1;
};

}  // namespace lora::train
