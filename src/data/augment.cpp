#include "data/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/file.h"
#include "base/words.h"
#include "data/image_transform.h"

namespace lora::data {
namespace {

constexpr double kColorChance = 0.33;
constexpr double kHueLimit = 8;

double between(Rng& rng, double low, double high) {
    return low + (high - low) * static_cast<double>(rng.uniform());
}

int64_t any_offset(Rng& rng, int64_t trim) {
    return static_cast<int64_t>(rng.below(static_cast<uint64_t>(trim) + 1));
}

io::Image fit(const io::Image& image, const Draw& draw, Rng& rng) {
    if (!draw.options.random_crop) return fit_to_bucket(image, draw.choice);
    const io::Image resized = resize(image, draw.choice.resized);
    const int64_t left = any_offset(rng, resized.width_px - draw.choice.bucket.width_px);
    const int64_t top = any_offset(rng, resized.height_px - draw.choice.bucket.height_px);
    return crop(resized, left, top, draw.choice.bucket);
}

// Where the crop of one axis begins: the face in the middle, shaken, inside the picture.
int64_t face_offset(
    Rng& rng, const Draw& draw, int64_t length, int64_t target, int64_t centre, int64_t face) {
    double at = static_cast<double>(centre) - std::floor(static_cast<double>(target) / 2);
    const FaceCropRange& range = *draw.options.face_crop_aug_range;
    if (draw.options.random_crop) {
        const int64_t reach = std::max(length - centre, centre);
        at += static_cast<double>(any_offset(rng, reach) + any_offset(rng, reach) - reach);
    } else if (range.low != range.high && face > target / 10 && face >= 40) {
        const int64_t reach = face / 20;
        at += static_cast<double>(any_offset(rng, 2 * reach) - reach);
    }
    return std::clamp(static_cast<int64_t>(at), int64_t{0}, length - target);
}

// Scales so that the face fills the asked share of the crop, then crops around it.
io::Image fit_face(const io::Image& image, const Draw& draw, Rng& rng) {
    const ImageSize target = draw.choice.bucket;
    const FaceCropRange& range = *draw.options.face_crop_aug_range;
    const auto face = static_cast<double>(std::max(draw.face->width_px, draw.face->height_px));
    const auto size = static_cast<double>(std::min(target.width_px, target.height_px));
    const double cover =
        std::max(static_cast<double>(target.width_px) / static_cast<double>(image.width_px),
                 static_cast<double>(target.height_px) / static_cast<double>(image.height_px));
    const double least = std::min(1.0, std::max(cover, size / (face * range.high)));
    const double most = std::min(1.0, std::max(least, size / (face * range.low)));
    // A picture smaller than the crop has to grow all the same.
    const double scale = std::max(cover, least >= most ? least : between(rng, least, most));
    const auto scaled = [&](int64_t value) {
        return static_cast<int64_t>(std::floor(static_cast<double>(value) * scale + 0.5));
    };
    const ImageSize grown = {std::max(scaled(image.width_px), target.width_px),
                             std::max(scaled(image.height_px), target.height_px)};
    const io::Image resized = resize(image, grown);
    const auto face_px = static_cast<int64_t>(face * scale);
    const int64_t left =
        face_offset(rng, draw, grown.width_px, target.width_px, scaled(draw.face->x_px), face_px);
    const int64_t top =
        face_offset(rng, draw, grown.height_px, target.height_px, scaled(draw.face->y_px), face_px);
    return crop(resized, left, top, target);
}

io::Image change_colors(io::Image image, Rng& rng) {
    if (static_cast<double>(rng.uniform()) > kColorChance) return image;
    if (rng.below(2) == 0) return shift_hue(image, between(rng, -kHueLimit, kHueLimit));
    return apply_gamma(image, between(rng, 0.95, 1.05));
}

std::array<double, 3> rotate_hue(const std::array<double, 3>& rgb, double degrees) {
    const double high = std::max({rgb[0], rgb[1], rgb[2]});
    const double spread = high - std::min({rgb[0], rgb[1], rgb[2]});
    if (spread <= 0) return rgb;
    double sector = 0;
    if (high == rgb[0]) {
        sector = std::fmod((rgb[1] - rgb[2]) / spread + 6, 6.0);
    } else if (high == rgb[1]) {
        sector = (rgb[2] - rgb[0]) / spread + 2;
    } else {
        sector = (rgb[0] - rgb[1]) / spread + 4;
    }
    sector = std::fmod(sector + degrees / 60 + 12, 6.0);
    // Each channel is a trapezium over the circle of hues.
    const auto channel = [&](double shift) {
        const double k = std::fmod(shift + sector, 6.0);
        return high - spread * std::max(0.0, std::min({k, 4 - k, 1.0}));
    };
    return {channel(5), channel(3), channel(1)};
}

}  // namespace

std::optional<Face> face_of_name(std::string_view path) {
    const std::string stem = without_extension(base_name(path));
    const std::vector<std::string_view> pieces = lora::split(stem, '_');
    if (pieces.size() < 5) return std::nullopt;
    std::array<int64_t, 4> numbers{};
    for (size_t i = 0; i < 4; ++i) {
        const auto number = parse_number<int64_t>(pieces[pieces.size() - 4 + i]);
        if (!number || *number < 0 || *number > 1'000'000) return std::nullopt;
        numbers[i] = *number;
    }
    if (numbers[2] == 0 || numbers[3] == 0) return std::nullopt;
    return Face{numbers[0], numbers[1], numbers[2], numbers[3]};
}

io::Image shift_hue(const io::Image& image, double units) {
    io::Image out = image;
    for (size_t i = 0; i + 2 < out.rgb.size(); i += 3) {
        const auto turned = rotate_hue({static_cast<double>(out.rgb[i]),
                                        static_cast<double>(out.rgb[i + 1]),
                                        static_cast<double>(out.rgb[i + 2])},
                                       units * 2);
        for (size_t c = 0; c < 3; ++c) {
            out.rgb[i + c] = static_cast<uint8_t>(std::clamp(std::round(turned[c]), 0.0, 255.0));
        }
    }
    return out;
}

io::Image apply_gamma(const io::Image& image, double gamma) {
    std::array<uint8_t, 256> table{};
    for (size_t i = 0; i < table.size(); ++i) {
        const double value = std::clamp(std::pow(static_cast<double>(i), gamma), 0.0, 255.0);
        table[i] = static_cast<uint8_t>(value);
    }
    io::Image out = image;
    for (uint8_t& value : out.rgb) value = table[value];
    return out;
}

Diagnostics check_face_crop(const FaceCropRange& range, bool enable_bucket) {
    constexpr const char* kOption = "face_crop_aug_range";
    Diagnostics found;
    if (!(range.low > 0 && range.low <= range.high)) {
        found.push_back({Severity::kError,
                         kOption,
                         "the two shares of face_crop_aug_range must rise from above 0",
                         "2.0,4.0 for example"});
    }
    if (enable_bucket) {
        found.push_back({Severity::kError,
                         kOption,
                         "face_crop_aug_range crops to one resolution",
                         "set enable_bucket to false"});
    }
    return found;
}

io::Image draw_picture(const io::Image& image, const Draw& draw, Rng& rng) {
    const bool by_face = draw.options.face_crop_aug_range && draw.face;
    io::Image out = by_face ? fit_face(image, draw, rng) : fit(image, draw, rng);
    if (draw.options.color_aug) out = change_colors(std::move(out), rng);
    return draw.flipped ? flip_horizontal(out) : out;
}

}  // namespace lora::data
