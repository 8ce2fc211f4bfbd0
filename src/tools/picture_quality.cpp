#include "tools/picture_quality.h"

#include <algorithm>
#include <cmath>

#include "data/image_transform.h"
#include "tools/region.h"

namespace lora::tools {
namespace {

constexpr int64_t kSharpnessSide = 512;  // pictures are judged at about this size
constexpr int64_t kStyleSide = 256;
constexpr int64_t kMiddleSide = 1024;
constexpr float kFlatStep = 2.5F;  // grey levels between neighbours
constexpr float kHardStep = 64.0F;
constexpr float kDrawnStep = 16.0F;
constexpr int kApartFromEdge = 16;  // levels of a channel
constexpr size_t kFewPictures = 8;
constexpr double kFarApart = 4;  // in units of the usual distance

// 1 up to `good`, 0 from `bad` on.
double part(double value, double good, double bad) {
    return std::clamp((bad - value) / (bad - good), 0.0, 1.0);
}

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    const auto middle = values.begin() + std::ssize(values) / 2;
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

// Standard deviation of noise in grey levels. What the mask answers to edges stays above the
// median.
double noise_of(const GreyPicture& grey) {
    std::vector<double> answers;
    const int64_t width = grey.width_px;
    for (int64_t y = 1; y + 1 < grey.height_px; ++y) {
        for (int64_t x = 1; x + 1 < width; ++x) {
            const float* at = grey.value.data() + y * width + x;
            const float answer = at[-width - 1] - 2 * at[-width] + at[-width + 1] - 2 * at[-1] +
                                 4 * at[0] - 2 * at[1] + at[width - 1] - 2 * at[width] +
                                 at[width + 1];
            answers.push_back(std::abs(answer));
        }
    }
    // The mask's weights have the root of squares 6; the median of |normal| is 0.6745.
    return median(std::move(answers)) / 0.6745 / 6;
}

// Mean step at the strongest of the eight places against the middle one, less 1.
double blocks_along(const GreyPicture& grey, bool down) {
    const int64_t step = down ? grey.width_px : 1;
    const int64_t length = down ? grey.height_px : grey.width_px;
    const int64_t lines = down ? grey.width_px : grey.height_px;
    if (length < 64) return 0;
    std::array<double, 8> sum{};
    std::array<double, 8> count{};
    for (int64_t line = 0; line < lines; ++line) {
        const float* at = grey.value.data() + (down ? line : line * grey.width_px);
        for (int64_t i = 2; i + 1 < length; ++i) {
            const auto level = [&](int64_t k) { return at[k * step]; };
            const float step_here = std::abs(level(i) - level(i - 1));
            const float before = std::abs(level(i - 1) - level(i - 2));
            const float after = std::abs(level(i + 1) - level(i));
            // What was drawn is steeper than the steps between blocks.
            if (std::max({step_here, before, after}) > kDrawnStep) continue;
            const auto place = static_cast<size_t>(i % 8);
            sum[place] += step_here - 0.5F * (before + after);
            ++count[place];
        }
    }
    for (size_t i = 0; i < 8; ++i) sum[i] /= std::max(count[i], 1.0);
    return *std::max_element(sum.begin(), sum.end()) - median({sum.begin(), sum.end()});
}

double spread_of(const GreyPicture& grey) {
    double sum = 0;
    double squares = 0;
    for (const float value : grey.value) {
        sum += value;
        squares += static_cast<double>(value) * value;
    }
    const auto count = static_cast<double>(grey.value.size());
    return std::sqrt(std::max(0.0, squares / count - (sum / count) * (sum / count)));
}

double contrast_of(const GreyPicture& grey) {
    std::array<int64_t, 256> counts{};
    for (const float value : grey.value) {
        ++counts[static_cast<size_t>(std::clamp(value, 0.0F, 255.0F))];
    }
    const auto edge = static_cast<int64_t>(grey.value.size() / 100);
    const auto level = [&](bool from_above) {
        int64_t seen = 0;
        for (int i = 0; i < 256; ++i) {
            const int at = from_above ? 255 - i : i;
            seen += counts[static_cast<size_t>(at)];
            if (seen > edge) return at;
        }
        return 0;
    };
    return level(true) - level(false);
}

// Share of the picture within the smallest rectangle around what differs from a plain edge.
double figure_share(const io::Image& image) {
    if (!has_plain_edge(image)) return 1;
    const int64_t width = image.width_px;
    const uint8_t* corner = image.rgb.data();
    int64_t left = width;
    int64_t right = -1;
    int64_t top = image.height_px;
    int64_t bottom = -1;
    for (int64_t y = 0; y < image.height_px; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            const uint8_t* at = image.rgb.data() + (y * width + x) * 3;
            int most = 0;
            for (size_t c = 0; c < 3; ++c) most = std::max(most, std::abs(at[c] - corner[c]));
            if (most <= kApartFromEdge) continue;
            left = std::min(left, x);
            right = std::max(right, x);
            top = std::min(top, y);
            bottom = std::max(bottom, y);
        }
    }
    if (right < left) return 1;  // nothing but the ground: that is another finding
    return static_cast<double>((right - left + 1) * (bottom - top + 1)) /
           static_cast<double>(width * image.height_px);
}

// The blur effect along one direction: how little of the variation a further blur takes away.
double blur_along(const GreyPicture& grey, bool down) {
    double before = 0;
    double taken = 0;
    const int64_t step = down ? grey.width_px : 1;
    const int64_t lines = down ? grey.width_px : grey.height_px;
    const int64_t length = down ? grey.height_px : grey.width_px;
    for (int64_t line = 0; line < lines; ++line) {
        const int64_t start = down ? line : line * grey.width_px;
        const auto at = [&](int64_t i) {
            return static_cast<double>(grey.value[static_cast<size_t>(start + i * step)]);
        };
        const auto smooth = [&](int64_t i) {
            double sum = 0;
            for (int64_t k = -4; k <= 4; ++k) sum += at(std::clamp<int64_t>(i + k, 0, length - 1));
            return sum / 9;
        };
        double previous = smooth(0);
        for (int64_t i = 1; i < length; ++i) {
            const double now = smooth(i);
            const double sharp = std::abs(at(i) - at(i - 1));
            before += sharp;
            taken += std::max(0.0, sharp - std::abs(now - previous));
            previous = now;
        }
    }
    return before > 0 ? (before - taken) / before : 0;
}

// Bits of the picture's colours, four a channel.
double entropy_of(const io::Image& image) {
    std::vector<double> counts(4096);
    for (size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
        const auto bin = static_cast<size_t>(image.rgb[i] >> 4 << 8 | image.rgb[i + 1] >> 4 << 4 |
                                             image.rgb[i + 2] >> 4);
        ++counts[bin];
    }
    const double total = static_cast<double>(image.rgb.size()) / 3;
    double bits = 0;
    for (const double count : counts) {
        if (count > 0) bits -= count / total * std::log2(count / total);
    }
    return bits;
}

}  // namespace

GreyPicture grey_picture(const io::Image& image) {
    GreyPicture out{image.height_px, image.width_px, {}};
    out.value.resize(static_cast<size_t>(image.height_px * image.width_px));
    for (size_t i = 0; i < out.value.size(); ++i) {
        const uint8_t* rgb = image.rgb.data() + 3 * i;
        out.value[i] = 0.299F * rgb[0] + 0.587F * rgb[1] + 0.114F * rgb[2];
    }
    return out;
}

PictureQuality judge_quality(const io::Image& image, int64_t trained_px) {
    PictureQuality out;
    // Noise and blocks are those of the file's own pixels; the middle of a large picture is enough.
    const int64_t width = std::min(image.width_px, kMiddleSide);
    const int64_t height = std::min(image.height_px, kMiddleSide);
    const GreyPicture middle = grey_picture(data::crop(
        image, (image.width_px - width) / 2, (image.height_px - height) / 2, {width, height}));
    const GreyPicture small = grey_picture(data::shrunk(image, kSharpnessSide));
    const double area = static_cast<double>(image.height_px) * static_cast<double>(image.width_px);
    out.blur = std::max(blur_along(small, false), blur_along(small, true));
    out.spread = spread_of(small);
    out.sharpness = part(out.blur, 0.5, 0.85);
    out.noise = part(noise_of(middle), 3, 20);
    out.blocks = part(std::min(blocks_along(middle, false), blocks_along(middle, true)), 0.3, 4);
    out.contrast = part(-contrast_of(small), -100, -10);
    out.size = std::min(1.0, std::sqrt(area) / static_cast<double>(trained_px));
    out.figure = std::min(1.0, figure_share(image) / 0.25);
    return out;
}

StyleNumbers style_numbers(const io::Image& image) {
    const io::Image small = data::shrunk(image, kStyleSide);
    const GreyPicture grey = grey_picture(small);
    StyleNumbers out;
    double saturation = 0;
    for (size_t i = 0; i < grey.value.size(); ++i) {
        const auto [least, most] =
            std::minmax({small.rgb[3 * i], small.rgb[3 * i + 1], small.rgb[3 * i + 2]});
        saturation += most - least;
    }
    double flat = 0;
    double hard = 0;
    double pairs = 0;
    const auto compare = [&](size_t a, size_t b) {
        const float step = std::abs(grey.value[a] - grey.value[b]);
        flat += step < kFlatStep ? 1 : 0;
        hard += step > kHardStep ? 1 : 0;
        ++pairs;
    };
    const auto width = static_cast<size_t>(grey.width_px);
    for (size_t i = 0; i < grey.value.size(); ++i) {
        if (i % width + 1 < width) compare(i, i + 1);
        if (i + width < grey.value.size()) compare(i, i + width);
    }
    pairs = std::max(pairs, 1.0);
    out.value = {saturation / 255 / static_cast<double>(std::max<size_t>(1, grey.value.size())),
                 flat / pairs,
                 hard / pairs,
                 entropy_of(small),
                 noise_of(grey)};
    return out;
}

std::vector<StyleDistance> style_outliers(const std::vector<StyleNumbers>& pictures) {
    // Pictures of one way of drawing differ by about so much, even where a folder's agree more.
    constexpr std::array<double, StyleNumbers::kCount> kLeastSpread = {0.05, 0.06, 0.015, 0.6, 1.5};
    std::vector<StyleDistance> out;
    if (pictures.size() < kFewPictures) return out;
    std::array<double, StyleNumbers::kCount> middle{};
    std::array<double, StyleNumbers::kCount> spread{};
    for (size_t k = 0; k < StyleNumbers::kCount; ++k) {
        std::vector<double> values;
        values.reserve(pictures.size());
        for (const StyleNumbers& picture : pictures) values.push_back(picture.value[k]);
        middle[k] = median(values);
        for (double& value : values) value = std::abs(value - middle[k]);
        spread[k] = std::max(1.4826 * median(values), kLeastSpread[k]);
    }
    for (size_t i = 0; i < pictures.size(); ++i) {
        StyleDistance row{i, {}};
        int far = 0;
        for (size_t k = 0; k < StyleNumbers::kCount; ++k) {
            row.apart[k] = (pictures[i].value[k] - middle[k]) / spread[k];
            if (std::abs(row.apart[k]) >= kFarApart) ++far;
        }
        if (far >= 2) out.push_back(row);
    }
    return out;
}

}  // namespace lora::tools
