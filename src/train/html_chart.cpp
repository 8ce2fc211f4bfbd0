#include "train/internal/html_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace lora::train {
namespace {

constexpr double kWidth = 1040;
constexpr double kHeight = 260;
constexpr double kLeft = 70;
constexpr double kTop = 10;
constexpr double kRight = 15;
constexpr double kBottom = 28;
constexpr size_t kMostPoints = 1500;  // of a line; more cannot be seen

struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void include(double value) {
        if (!std::isfinite(value)) return;
        low = std::min(low, value);
        high = std::max(high, value);
    }
    [[nodiscard]] bool is_empty() const { return !(low <= high); }
    [[nodiscard]] double share(double value) const {
        return high > low ? (value - low) / (high - low) : 0.5;
    }
};

// 1, 2 or 5 times a power of ten, so that about `count` fit.
double round_step(double range, int count) {
    if (!(range > 0)) return 1;
    const double rough = range / count;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0}) {
        if (rough <= factor * power * 1.0001) return factor * power;
    }
    return 10 * power;
}

struct Frame {
    Range x;
    Range y;
    double width = 0;
    double height = 0;
    double left = 0;
    double top = 0;

    [[nodiscard]] double px(double value) const { return left + x.share(value) * width; }
    [[nodiscard]] double py(double value) const { return top + (1 - y.share(value)) * height; }
};

// A gap where values are not finite.
std::string path_of(const ChartLine& line, const Frame& frame) {
    const size_t stride = line.points.size() / kMostPoints + 1;
    std::string path;
    bool pen_is_up = true;
    for (size_t i = 0; i < line.points.size(); ++i) {
        if (i % stride != 0 && i + 1 != line.points.size()) continue;
        const auto& [x, y] = line.points[i];
        if (!std::isfinite(y)) {
            pen_is_up = true;
            continue;
        }
        path += fmt::format("{}{:.1f} {:.1f}", pen_is_up ? "M" : "L", frame.px(x), frame.py(y));
        pen_is_up = false;
    }
    std::string text = fmt::format(
        "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" "
        "stroke-linejoin=\"round\"/>",
        path,
        line.colour,
        line.width);
    // Few points are measurements of their own.
    constexpr size_t kFew = 60;
    if (line.points.size() > kFew) return text;
    for (const auto& [x, y] : line.points) {
        if (!std::isfinite(y)) continue;
        text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" fill=\"{}\"/>",
                            frame.px(x),
                            frame.py(y),
                            line.width + 0.5,
                            line.colour);
    }
    return text;
}

std::string axes(const Frame& frame) {
    std::string text;
    const double y_step = round_step(frame.y.high - frame.y.low, 5);
    for (double y = std::ceil(frame.y.low / y_step) * y_step; y <= frame.y.high + 1e-9 * y_step;
         y += y_step) {
        text += fmt::format(
            "<path d=\"M{0:.1f} {2:.1f}H{1:.1f}\" stroke=\"#e2e2e6\"/><text x=\"{3:.1f}\" "
            "y=\"{4:.1f}\" text-anchor=\"end\">{5:.4g}</text>",
            frame.left,
            frame.left + frame.width,
            frame.py(y),
            frame.left - 6,
            frame.py(y) + 4,
            y);
    }
    const double x_step = std::max(1.0, round_step(frame.x.high - frame.x.low, 8));
    for (double x = std::ceil(frame.x.low / x_step) * x_step; x <= frame.x.high; x += x_step) {
        text += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{:.0f}</text>",
                            frame.px(x),
                            frame.top + frame.height + 18,
                            x);
    }
    return text;
}

Frame frame_of(const std::vector<ChartLine>& lines) {
    Frame frame{.x = {},
                .y = {},
                .width = kWidth - kLeft - kRight,
                .height = kHeight - kTop - kBottom,
                .left = kLeft,
                .top = kTop};
    for (const ChartLine& line : lines) {
        for (const auto& [x, y] : line.points) {
            if (!std::isfinite(y)) continue;
            frame.x.include(x);
            frame.y.include(y);
        }
    }
    if (frame.y.is_empty()) return frame;
    const double margin =
        std::max(0.05 * (frame.y.high - frame.y.low), 1e-12 + 0.01 * std::abs(frame.y.high));
    frame.y.low -= margin;
    frame.y.high += margin;
    return frame;
}

}  // namespace

std::string html_chart(const std::vector<ChartLine>& lines, std::optional<double> mark) {
    const Frame frame = frame_of(lines);
    if (frame.y.is_empty()) return "<p class=\"note\">nothing yet</p>\n";
    std::string text = fmt::format(
        "<svg viewBox=\"0 0 {} {}\" width=\"100%\" font-size=\"11\" fill=\"#1e1e24\">{}",
        kWidth,
        kHeight,
        axes(frame));
    for (const ChartLine& line : lines) text += path_of(line, frame);
    if (mark && !frame.x.is_empty()) {
        text += fmt::format(
            "<path d=\"M{0:.1f} {1}V{2}\" stroke=\"#c02020\" stroke-dasharray=\"4 3\"/><text "
            "x=\"{3:.1f}\" y=\"{4}\" fill=\"#c02020\">turn</text>",
            frame.px(*mark),
            kTop,
            kHeight - kBottom,
            frame.px(*mark) + 4,
            kTop + 12);
    }
    return text + "</svg>\n";
}

std::string html_sparkline(const ChartLine& line) {
    constexpr double kSmallWidth = 200;
    constexpr double kSmallHeight = 36;
    Frame frame{.x = {},
                .y = {},
                .width = kSmallWidth - 4,
                .height = kSmallHeight - 4,
                .left = 2,
                .top = 2};
    for (const auto& [x, y] : line.points) {
        if (!std::isfinite(y)) continue;
        frame.x.include(x);
        frame.y.include(y);
    }
    if (frame.y.is_empty()) return "";
    ChartLine plain = line;
    return fmt::format("<svg width=\"{}\" height=\"{}\">{}</svg>",
                       kSmallWidth,
                       kSmallHeight,
                       path_of(plain, frame));
}

std::string url_text(std::string_view path) {
    std::string safe;
    for (const char c : path) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') ||
                              std::string_view("-_./~").find(c) != std::string_view::npos;
        safe += is_plain ? std::string(1, c)
                         : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<uint8_t>(c)));
    }
    return safe;
}

}  // namespace lora::train
