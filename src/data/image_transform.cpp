#include "data/image_transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "base/check.h"

namespace lora::data {

namespace {

constexpr int64_t kChannels = 3;

// Weights of the source positions that one destination position gathers from.
template <typename T>
struct Taps {
    int64_t first = 0;
    std::vector<T> weights;
};

// Box filter: source pixel i counts by its overlap with [d * scale, (d + 1) * scale).
std::vector<Taps<double>> area_taps(int64_t src, int64_t dst) {
    std::vector<Taps<double>> out(static_cast<size_t>(dst));
    const double scale = static_cast<double>(src) / static_cast<double>(dst);
    for (int64_t d = 0; d < dst; ++d) {
        // Borders in units of 1/dst are whole numbers: overlaps stay exact.
        const int64_t begin = d * src;
        const int64_t end = begin + src;
        auto& taps = out[static_cast<size_t>(d)];
        taps.first = begin / dst;
        for (int64_t i = taps.first; i * dst < end; ++i) {
            const int64_t overlap = std::min(end, (i + 1) * dst) - std::max(begin, i * dst);
            taps.weights.push_back(static_cast<double>(overlap) / static_cast<double>(dst) / scale);
        }
    }
    return out;
}

uint8_t to_level(double value) {
    return static_cast<uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
}

io::Image resize_area(const io::Image& src, ImageSize size) {
    const auto columns = area_taps(src.width_px, size.width_px);
    const auto rows = area_taps(src.height_px, size.height_px);
    io::Image dst;
    dst.width_px = size.width_px;
    dst.height_px = size.height_px;
    const auto row_values = static_cast<size_t>(size.width_px * kChannels);
    dst.rgb.resize(row_values * static_cast<size_t>(size.height_px));
    std::vector<double> row(row_values);
    std::vector<double> sum(row_values);
    for (int64_t y = 0; y < size.height_px; ++y) {
        std::fill(sum.begin(), sum.end(), 0.0);
        const auto& v = rows[static_cast<size_t>(y)];
        for (size_t k = 0; k < v.weights.size(); ++k) {
            const uint8_t* line =
                src.rgb.data() + (v.first + static_cast<int64_t>(k)) * src.width_px * kChannels;
            size_t at = 0;
            for (const auto& h : columns) {
                std::array<double, 3> acc{};
                const uint8_t* pixel = line + h.first * kChannels;
                for (const double weight : h.weights) {
                    for (size_t c = 0; c < 3; ++c) acc[c] += weight * pixel[c];
                    pixel += kChannels;
                }
                for (size_t c = 0; c < 3; ++c) row[at++] = acc[c];
            }
            for (size_t i = 0; i < row_values; ++i) sum[i] += v.weights[k] * row[i];
        }
        uint8_t* out = dst.rgb.data() + static_cast<size_t>(y) * row_values;
        for (size_t i = 0; i < row_values; ++i) out[i] = to_level(sum[i]);
    }
    return dst;
}

double lanczos3(double x) {
    if (x <= -3.0 || x >= 3.0) return 0.0;
    if (x == 0.0) return 1.0;
    const double a = x * std::numbers::pi;
    return (std::sin(a) / a) * (std::sin(a / 3.0) / (a / 3.0));
}

constexpr int kFixedBits = 22;  // 32 - 8 for the level - 2 for the overshoot of the kernel

// Pillow's table: kernel widened when shrinking, normalised, then rounded to fixed point.
std::vector<Taps<int32_t>> lanczos_taps(int64_t src, int64_t dst) {
    std::vector<Taps<int32_t>> out(static_cast<size_t>(dst));
    const double scale = static_cast<double>(src) / static_cast<double>(dst);
    const double stretch = std::max(scale, 1.0);
    const double support = 3.0 * stretch;
    for (int64_t d = 0; d < dst; ++d) {
        const double center = (static_cast<double>(d) + 0.5) * scale;
        const int64_t first =
            std::max<int64_t>(static_cast<int64_t>(std::floor(center - support + 0.5)), 0);
        const int64_t last =
            std::min(static_cast<int64_t>(std::floor(center + support + 0.5)), src);
        std::vector<double> weights;
        double total = 0;
        for (int64_t i = first; i < last; ++i) {
            weights.push_back(lanczos3((static_cast<double>(i) - center + 0.5) / stretch));
            total += weights.back();
        }
        auto& taps = out[static_cast<size_t>(d)];
        taps.first = first;
        for (const double weight : weights) {
            const double fixed = weight / total * (1 << kFixedBits);
            taps.weights.push_back(static_cast<int32_t>(std::lround(fixed)));
        }
    }
    return out;
}

// One pass along an axis: `stride` bytes lie between neighbours on it.
uint8_t gather(const uint8_t* first, int64_t stride, const Taps<int32_t>& taps) {
    int64_t sum = int64_t{1} << (kFixedBits - 1);
    const uint8_t* at = first + taps.first * stride;
    for (const int32_t weight : taps.weights) {
        sum += static_cast<int64_t>(weight) * *at;
        at += stride;
    }
    return static_cast<uint8_t>(std::clamp<int64_t>(sum >> kFixedBits, 0, 255));
}

io::Image lanczos_pass(const io::Image& src, ImageSize size, bool horizontal) {
    const auto taps = horizontal ? lanczos_taps(src.width_px, size.width_px)
                                 : lanczos_taps(src.height_px, size.height_px);
    io::Image dst;
    dst.width_px = size.width_px;
    dst.height_px = size.height_px;
    dst.rgb.resize(static_cast<size_t>(size.width_px * size.height_px * kChannels));
    const int64_t src_row = src.width_px * kChannels;
    uint8_t* out = dst.rgb.data();
    for (int64_t y = 0; y < size.height_px; ++y) {
        for (int64_t x = 0; x < size.width_px; ++x) {
            for (int64_t c = 0; c < kChannels; ++c) {
                *out++ = horizontal ? gather(src.rgb.data() + y * src_row + c,
                                             kChannels,
                                             taps[static_cast<size_t>(x)])
                                    : gather(src.rgb.data() + x * kChannels + c,
                                             src_row,
                                             taps[static_cast<size_t>(y)]);
            }
        }
    }
    return dst;
}

io::Image resize_lanczos(const io::Image& src, ImageSize size) {
    io::Image image = src;
    if (size.width_px != src.width_px) {
        image = lanczos_pass(image, {size.width_px, src.height_px}, true);
    }
    if (size.height_px != src.height_px) image = lanczos_pass(image, size, false);
    return image;
}

}  // namespace

io::Image resize(const io::Image& image, ImageSize size, ResizeFilter filter) {
    LORA_CHECK(size.width_px > 0 && size.height_px > 0 && image.width_px > 0 &&
               image.height_px > 0);
    if (size.width_px == image.width_px && size.height_px == image.height_px) return image;
    const bool grows = size.width_px > image.width_px || size.height_px > image.height_px;
    if (filter == ResizeFilter::kAuto)
        filter = grows ? ResizeFilter::kLanczos : ResizeFilter::kArea;
    if (filter == ResizeFilter::kLanczos) return resize_lanczos(image, size);
    LORA_CHECK(!grows);
    return resize_area(image, size);
}

io::Image shrunk(const io::Image& image, int64_t longest_px) {
    const int64_t longest = std::max(image.width_px, image.height_px);
    if (longest <= longest_px) return image;
    const auto scaled = [&](int64_t side) {
        return std::max<int64_t>(1, side * longest_px / longest);
    };
    return resize(image, {scaled(image.width_px), scaled(image.height_px)});
}

io::Image crop(const io::Image& image, int64_t left_px, int64_t top_px, ImageSize size) {
    LORA_CHECK(left_px >= 0 && top_px >= 0 && left_px + size.width_px <= image.width_px &&
               top_px + size.height_px <= image.height_px);
    io::Image out;
    out.width_px = size.width_px;
    out.height_px = size.height_px;
    out.rgb.reserve(static_cast<size_t>(size.width_px * size.height_px * kChannels));
    for (int64_t y = 0; y < size.height_px; ++y) {
        const auto* row = image.rgb.data() + ((top_px + y) * image.width_px + left_px) * kChannels;
        out.rgb.insert(out.rgb.end(), row, row + size.width_px * kChannels);
    }
    return out;
}

io::Image flip_horizontal(const io::Image& image) {
    io::Image out = image;
    for (int64_t y = 0; y < image.height_px; ++y) {
        for (int64_t x = 0; x < image.width_px; ++x) {
            const auto* pixel =
                image.rgb.data() + (y * image.width_px + image.width_px - 1 - x) * kChannels;
            std::copy(
                pixel, pixel + kChannels, out.rgb.data() + (y * image.width_px + x) * kChannels);
        }
    }
    return out;
}

io::Image fit_to_bucket(const io::Image& image, const BucketChoice& choice) {
    return crop(
        resize(image, choice.resized), choice.crop_left_px, choice.crop_top_px, choice.bucket);
}

Tensor to_pixel_tensor(const io::Image& image) {
    Tensor out(DType::kF32, {kChannels, image.height_px, image.width_px});
    const std::span<float> values = out.data<float>();
    const auto plane = static_cast<size_t>(image.height_px * image.width_px);
    for (size_t i = 0; i < plane; ++i) {
        for (size_t c = 0; c < 3; ++c) {
            const float level = static_cast<float>(image.rgb[i * 3 + c]) / 255.0F;
            values[c * plane + i] = (level - 0.5F) / 0.5F;
        }
    }
    return out;
}

}  // namespace lora::data
