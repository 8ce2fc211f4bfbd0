#include "train/turn_watch.h"

#include <algorithm>

namespace lora::train {

TurnWatch::TurnWatch(std::span<const CurvePoint> points) {
    for (const CurvePoint& point : points) add(point);
}

bool TurnWatch::add(const CurvePoint& point) {
    if (!lowest_ || point.value < lowest_->value) {
        lowest_ = point;
        num_above_ = 0;
        return false;
    }
    const bool is_above = point.value > lowest_->value * (1 + kTolerance);
    num_above_ = is_above ? num_above_ + 1 : 0;
    return num_above_ == 2;
}

std::optional<CurvePoint> TurnWatch::turn() const {
    if (num_above_ < 2) return std::nullopt;
    return lowest_;
}

std::optional<double> trend(std::span<const CurvePoint> points) {
    constexpr size_t kLeast = 3;
    if (points.size() < kLeast) return std::nullopt;
    const size_t count = std::max(kLeast, points.size() / 3);
    const std::span<const CurvePoint> last = points.last(count);
    double x_mean = 0;
    double y_mean = 0;
    for (const CurvePoint& point : last) {
        x_mean += static_cast<double>(point.step) / static_cast<double>(count);
        y_mean += point.value / static_cast<double>(count);
    }
    double xy = 0;
    double xx = 0;
    for (const CurvePoint& point : last) {
        const double x = static_cast<double>(point.step) - x_mean;
        xy += x * (point.value - y_mean);
        xx += x * x;
    }
    if (xx == 0) return std::nullopt;
    const double slope = xy / xx;
    const double length = static_cast<double>(last.back().step - last.front().step);
    const double first = y_mean + slope * (static_cast<double>(last.front().step) - x_mean);
    if (first <= 0) return std::nullopt;
    return slope * length / first;
}

std::string_view verdict_of_weight(double best) {
    if (best > 1.1) return "not yet learned in full: more epochs or a higher rate would help";
    if (best < 0.9) return "overdone: an earlier save or a lower rate would be better";
    return "right as it is";
}

}  // namespace lora::train
