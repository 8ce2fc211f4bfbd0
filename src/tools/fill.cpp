#include "tools/fill.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lora::tools {
namespace {

constexpr uint8_t kInside = 128;
constexpr int kRounds = 300;
constexpr double kOverRelaxation = 1.85;
constexpr float kStill = 0.02F;  // grey levels of change that end the rounds
constexpr int64_t kRing = 6;     // pixels around the mask that are judged

struct Plane {
    int64_t height = 0;
    int64_t width = 0;
    std::vector<float> value;  // [height, width, 3]
    std::vector<float> known;  // share of each place that is known, 0 to 1

    Plane(int64_t h, int64_t w) : height(h), width(w) {
        value.resize(static_cast<size_t>(3 * h * w));
        known.resize(static_cast<size_t>(h * w));
    }
    [[nodiscard]] size_t at(int64_t y, int64_t x) const {
        return static_cast<size_t>(y * width + x);
    }
};

// Half the size; each place is the mean of what is known of its four.
Plane halved(const Plane& fine) {
    Plane out((fine.height + 1) / 2, (fine.width + 1) / 2);
    for (int64_t y = 0; y < out.height; ++y) {
        for (int64_t x = 0; x < out.width; ++x) {
            float weight = 0;
            std::array<float, 3> sum{};
            for (int64_t y2 = 2 * y; y2 < std::min(2 * y + 2, fine.height); ++y2) {
                for (int64_t x2 = 2 * x; x2 < std::min(2 * x + 2, fine.width); ++x2) {
                    const size_t i = fine.at(y2, x2);
                    weight += fine.known[i];
                    for (size_t c = 0; c < 3; ++c) sum[c] += fine.known[i] * fine.value[3 * i + c];
                }
            }
            const size_t o = out.at(y, x);
            out.known[o] = std::min(1.0F, weight);
            for (size_t c = 0; c < 3; ++c) out.value[3 * o + c] = weight > 0 ? sum[c] / weight : 0;
        }
    }
    return out;
}

// Fills what is unknown from coarser copies: a first guess that has the right colours everywhere.
void guess(Plane& fine) {
    const bool complete =
        std::all_of(fine.known.begin(), fine.known.end(), [](float k) { return k > 0; });
    if (complete) return;
    Plane coarse = halved(fine);
    guess(coarse);
    for (int64_t y = 0; y < fine.height; ++y) {
        for (int64_t x = 0; x < fine.width; ++x) {
            const size_t i = fine.at(y, x);
            if (fine.known[i] > 0) continue;
            const size_t o = coarse.at(y / 2, x / 2);
            for (size_t c = 0; c < 3; ++c) fine.value[3 * i + c] = coarse.value[3 * o + c];
        }
    }
    std::fill(fine.known.begin(), fine.known.end(), 1.0F);
}

// Rounds of Gauss and Seidel: each unknown place becomes the mean of its neighbours.
void relax(Plane& plane, const std::vector<size_t>& unknown) {
    const auto width = static_cast<size_t>(plane.width);
    for (int round = 0; round < kRounds; ++round) {
        float most = 0;
        for (const size_t i : unknown) {
            const auto y = static_cast<int64_t>(i / width);
            const auto x = static_cast<int64_t>(i % width);
            for (size_t c = 0; c < 3; ++c) {
                float sum = 0;
                float count = 0;
                const auto take = [&](bool there, size_t j) {
                    if (!there) return;
                    sum += plane.value[3 * j + c];
                    ++count;
                };
                take(y > 0, i - width);
                take(y + 1 < plane.height, i + width);
                take(x > 0, i - 1);
                take(x + 1 < plane.width, i + 1);
                float& value = plane.value[3 * i + c];
                const float change =
                    static_cast<float>(kOverRelaxation) * (sum / std::max(1.0F, count) - value);
                value += change;
                most = std::max(most, std::abs(change));
            }
        }
        if (most < kStill) break;
    }
}

}  // namespace

io::Image filled(const io::Image& image, const Mask& mask) {
    Plane plane(image.height_px, image.width_px);
    std::vector<size_t> unknown;
    for (size_t i = 0; i < mask.value.size(); ++i) {
        const bool inside = mask.value[i] >= kInside;
        plane.known[i] = inside ? 0.0F : 1.0F;
        if (inside) unknown.push_back(i);
        for (size_t c = 0; c < 3; ++c) plane.value[3 * i + c] = image.rgb[3 * i + c];
    }
    if (unknown.size() == mask.value.size()) {
        throw Error(ErrorCode::kData, "the mask covers the whole picture: nothing to fill it from")
            .with_hint("white in a mask is what goes; was it painted the other way round?");
    }
    if (unknown.empty()) return image;
    guess(plane);
    relax(plane, unknown);
    io::Image out = image;
    for (const size_t i : unknown) {
        for (size_t c = 0; c < 3; ++c) {
            out.rgb[3 * i + c] =
                static_cast<uint8_t>(std::clamp(std::lround(plane.value[3 * i + c]), 0L, 255L));
        }
    }
    return out;
}

io::Image painted(const io::Image& image, const Mask& mask, Colour colour) {
    io::Image out = image;
    for (size_t i = 0; i < mask.value.size(); ++i) {
        if (mask.value[i] < kInside) continue;
        for (size_t c = 0; c < 3; ++c) out.rgb[3 * i + c] = colour[c];
    }
    return out;
}

double roughness_around(const io::Image& image, const Mask& mask) {
    const Mask ring = grown(mask, kRing);
    double sum = 0;
    double count = 0;
    const auto width = image.width_px;
    for (int64_t y = 0; y + 1 < image.height_px; ++y) {
        for (int64_t x = 0; x + 1 < width; ++x) {
            const auto i = static_cast<size_t>(y * width + x);
            const auto below = i + static_cast<size_t>(width);
            if (ring.value[i] == 0) continue;
            if (mask.value[i] >= kInside || mask.value[i + 1] >= kInside ||
                mask.value[below] >= kInside) {
                continue;
            }
            for (size_t c = 0; c < 3; ++c) {
                const double across = image.rgb[3 * (i + 1) + c] - image.rgb[3 * i + c];
                const double down = image.rgb[3 * below + c] - image.rgb[3 * i + c];
                sum += across * across + down * down;
                ++count;
            }
        }
    }
    return count > 0 ? std::sqrt(sum / (2 * count)) : 0;
}

}  // namespace lora::tools
