#include "train/expected_loss.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "diffusion/noise_schedule.h"

namespace lora::train {
namespace {

// A third of the measurements, no fewer than this, make a line.
constexpr size_t kLeastNeighbours = 5;

double log_level(int64_t timestep) {
    static const diffusion::NoiseSchedule kSchedule;
    return std::log(kSchedule.sigma(
        std::clamp<int64_t>(timestep, 0, diffusion::NoiseSchedule::kNumTimesteps - 1)));
}

}  // namespace

ExpectedLoss::ExpectedLoss(const std::vector<Point>& points) {
    for (const Point& point : points) {
        if (std::isfinite(point.loss) && point.loss > 0) points_.push_back(point);
    }
    for (const Point& point : points_) levels_.push_back(log_level(point.timestep));
    double sum = 0;
    for (const Point& point : points_) sum += point.loss / at(point.timestep);
    if (!points_.empty()) scale_ = sum / static_cast<double>(points_.size());
}

// Local linear regression with tricube weights (Cleveland, 1979).
double ExpectedLoss::smooth(double level) const {
    std::vector<double> distances;
    for (const double other : levels_) distances.push_back(std::abs(other - level));
    std::vector<double> sorted = distances;
    std::sort(sorted.begin(), sorted.end());
    const size_t count = std::min(sorted.size(), std::max(kLeastNeighbours, sorted.size() / 3));
    const double width = sorted[count - 1] * 1.001 + 1e-9;
    double w_sum = 0;
    double x_sum = 0;
    double y_sum = 0;
    double xx_sum = 0;
    double xy_sum = 0;
    for (size_t i = 0; i < points_.size(); ++i) {
        const double u = std::min(1.0, distances[i] / width);
        const double weight = std::pow(1 - u * u * u, 3);
        const double x = levels_[i] - level;
        const double y = std::log(points_[i].loss);
        w_sum += weight;
        x_sum += weight * x;
        y_sum += weight * y;
        xx_sum += weight * x * x;
        xy_sum += weight * x * y;
    }
    const double spread = xx_sum * w_sum - x_sum * x_sum;
    if (spread <= 1e-9 * w_sum * w_sum) return std::exp(y_sum / w_sum);
    return std::exp((xx_sum * y_sum - x_sum * xy_sum) / spread);
}

double ExpectedLoss::at(int64_t timestep) const {
    LORA_CHECK(!points_.empty(), "nothing was measured");
    return scale_ * smooth(log_level(timestep));
}

double ExpectedLoss::relative(std::span<const float> losses,
                              std::span<const int64_t> timesteps) const {
    LORA_CHECK(losses.size() == timesteps.size() && !losses.empty());
    double sum = 0;
    for (size_t i = 0; i < losses.size(); ++i) {
        sum += static_cast<double>(losses[i]) / at(timesteps[i]);
    }
    return sum / static_cast<double>(losses.size());
}

}  // namespace lora::train
