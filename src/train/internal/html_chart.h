// Curves as SVG inside an HTML page, and paths made safe for its links.
// Threads  pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lora::train {

struct ChartLine {
    std::string colour;
    double width = 1;
    std::vector<std::pair<double, double>> points;  // x rising; values that are not finite are gaps
};

// Axes with round numbers, all lines in one frame; a mark at `mark` on the x axis.
[[nodiscard]] std::string html_chart(const std::vector<ChartLine>& lines,
                                     std::optional<double> mark);
// One small line without axes.
[[nodiscard]] std::string html_sparkline(const ChartLine& line);

// What is not a plain letter, digit or one of "-_./~" as %XX.
[[nodiscard]] std::string url_text(std::string_view path);

}  // namespace lora::train
