#include "app/demo/plot.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/demo/canvas.h"

namespace lora::app {
namespace {

constexpr int64_t kWidth = 720;
constexpr int64_t kHeight = 400;
constexpr Rect kArea = {64, 40, 632, 300};
constexpr Colour kThin = {170, 200, 235};
constexpr Colour kStrong = {30, 90, 170};
constexpr double kSmoothing = 0.05;  // weight of the newest value in the smooth line

struct Scale {
    double steps = 1;
    double top = 1;

    [[nodiscard]] Point at(double step, double loss) const {
        const double x = steps > 1 ? (step - 1) / (steps - 1) : 0;
        const double y = std::clamp(loss / top, 0.0, 1.0);
        return {kArea.x + std::lround(x * static_cast<double>(kArea.width)),
                kArea.y + kArea.height - std::lround(y * static_cast<double>(kArea.height))};
    }
};

void draw_axes(Canvas& canvas, const Scale& scale) {
    const double loss_step = round_step(scale.top, 5);
    for (int i = 0; i * loss_step <= scale.top * 1.0001; ++i) {
        const double loss = i * loss_step;
        const Point left = scale.at(1, loss);
        canvas.line(left, {kArea.x + kArea.width, left.y}, kGrey);
        const std::string label = fmt::format("{:.3g}", loss);
        const auto width = static_cast<int64_t>(label.size()) * kLetterWidth;
        canvas.text({kArea.x - 6 - width, left.y - 3}, label);
    }
    const double step_step = std::max(1.0, round_step(scale.steps, 6));
    for (int i = 1; i * step_step <= scale.steps; ++i) {
        const double step = i * step_step;
        const Point foot = scale.at(step, 0);
        canvas.line(foot, {foot.x, foot.y + 4}, kInk);
        const std::string label = fmt::format("{:.0f}", step);
        const auto width = static_cast<int64_t>(label.size()) * kLetterWidth;
        canvas.text({foot.x - width / 2, foot.y + 8}, label);
    }
    canvas.line({kArea.x, kArea.y}, {kArea.x, kArea.y + kArea.height}, kInk);
    canvas.line(scale.at(1, 0), scale.at(scale.steps, 0), kInk);
    canvas.text({kArea.x + kArea.width / 2 - 12, kArea.y + kArea.height + 28}, "step");
    canvas.text({kArea.x - 24, kArea.y - 16}, "loss");
}

void draw_line(Canvas& canvas, const std::vector<Point>& points, bool strong) {
    for (size_t i = 1; i < points.size(); ++i) {
        canvas.line(points[i - 1], points[i], strong ? kStrong : kThin, strong ? 3 : 1);
    }
}

}  // namespace

double round_step(double range, int count) {
    if (!(range > 0) || count < 1) return 1;
    const double rough = range / count;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (rough <= factor * power * 1.0001) return factor * power;
    }
    return 10 * power;
}

io::Image draw_loss_curve(std::span<const double> losses, std::string_view title) {
    Canvas canvas(kWidth, kHeight);
    canvas.text({kArea.x, 10}, title, kInk, 2);
    double top = 0;
    for (const double loss : losses) {
        if (std::isfinite(loss)) top = std::max(top, loss);
    }
    Scale scale{std::max(1.0, static_cast<double>(losses.size())), 1};
    if (top > 0) scale.top = std::ceil(top / round_step(top, 5)) * round_step(top, 5);
    draw_axes(canvas, scale);
    std::vector<Point> raw;
    std::vector<Point> smooth;
    double weight = 0;
    double sum = 0;
    for (size_t i = 0; i < losses.size(); ++i) {
        if (!std::isfinite(losses[i])) continue;
        const double step = static_cast<double>(i) + 1;
        sum = sum * (1 - kSmoothing) + losses[i] * kSmoothing;
        weight = weight * (1 - kSmoothing) + kSmoothing;
        raw.push_back(scale.at(step, losses[i]));
        smooth.push_back(scale.at(step, sum / weight));
    }
    draw_line(canvas, raw, false);
    draw_line(canvas, smooth, true);
    return canvas.image();
}

}  // namespace lora::app
