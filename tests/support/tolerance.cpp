#include "support/tolerance.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"

namespace lora::support {
namespace {

struct Precision {
    DType dtype;
    double roundoff;
};
constexpr Precision kPrecisions[] = {
    {DType::kF64, 0x1p-53},
    {DType::kF32, 0x1p-24},
    {DType::kF16, 0x1p-11},
    {DType::kBF16, 0x1p-8},
};

}  // namespace

double unit_roundoff(DType dtype) {
    for (const Precision& row : kPrecisions) {
        if (row.dtype == dtype) return row.roundoff;
    }
    LORA_CHECK(false, "no tolerance for integers");
    return 0;
}

Tolerance tolerance(DType dtype, int64_t reduction_length, int64_t num_roundings) {
    const DType accumulator = dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    // Rounding errors add like a random walk. Two roundings a store: both sides make them.
    const double stores = 2 * std::sqrt(static_cast<double>(num_roundings)) * unit_roundoff(dtype);
    const double sums =
        4 * std::sqrt(static_cast<double>(reduction_length)) * unit_roundoff(accumulator);
    const double l2 = stores + sums;
    return {l2, 4 * l2};
}

double root_mean_square(std::span<const double> values) {
    double sum = 0;
    for (const double value : values) sum += value * value;
    return values.empty() ? 0 : std::sqrt(sum / static_cast<double>(values.size()));
}

std::string describe_difference(std::span<const double> actual,
                                std::span<const double> expected,
                                const Tolerance& bound,
                                double floor_rms) {
    if (actual.size() != expected.size()) {
        return fmt::format("{} elements instead of {}", actual.size(), expected.size());
    }
    double squares = 0;
    double largest = floor_rms;
    double worst = 0;
    size_t worst_at = 0;
    for (size_t i = 0; i < actual.size(); ++i) {
        const double difference = std::abs(actual[i] - expected[i]);
        if (!std::isfinite(difference)) {
            return fmt::format("element {} is {}, expected {}", i, actual[i], expected[i]);
        }
        squares += difference * difference;
        largest = std::max(largest, std::abs(expected[i]));
        if (difference > worst) {
            worst = difference;
            worst_at = i;
        }
    }
    if (worst == 0) return "";
    const double rms = std::max(root_mean_square(expected), floor_rms);
    const double l2 = std::sqrt(squares / static_cast<double>(actual.size())) / rms;
    if (l2 <= bound.relative_l2 && worst <= bound.relative_max * largest) return "";
    return fmt::format(
        "relative error {:.3g} (bound {:.3g}); worst element {} is {}, expected {} "
        "({:.3g} of the largest, bound {:.3g})",
        l2,
        bound.relative_l2,
        worst_at,
        actual[worst_at],
        expected[worst_at],
        worst / largest,
        bound.relative_max);
}

}  // namespace lora::support
