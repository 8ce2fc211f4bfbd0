// Judges curves whose noise is fixed: has the validation loss turned up, and does the probe loss
// still fall. Not the measuring (validation.h, probe.h).
// Threads  plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lora::train {

struct CurvePoint {
    int64_t step = 0;
    int64_t epoch = 0;
    double value = 0;
};

// Two values in a row that lie above the lowest one by more than kTolerance of it: the curve has
// turned at the lowest. A new lowest afterwards takes it back.
class TurnWatch {
public:
    static constexpr double kTolerance = 0.002;

    TurnWatch() = default;
    explicit TurnWatch(std::span<const CurvePoint> points);

    // True when the curve turns with this point.
    bool add(const CurvePoint& point);
    // The lowest point, when the curve has turned there.
    [[nodiscard]] std::optional<CurvePoint> turn() const;

private:
    std::optional<CurvePoint> lowest_;
    int64_t num_above_ = 0;  // in a row, up to now
};

// How much a straight line through the last third of the points (three at least) changes over it,
// in shares of its first value; below 0: it falls. Nothing with fewer points.
[[nodiscard]] std::optional<double> trend(std::span<const CurvePoint> points);
// A trend below this is one that falls.
inline constexpr double kStillFalling = -0.005;

// What the weight at which a finished LoRA is best says of its training: "right as it is" from 0.9
// to 1.1, else what went wrong.
[[nodiscard]] std::string_view verdict_of_weight(double best);

}  // namespace lora::train
