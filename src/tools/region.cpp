#include "tools/region.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"
#include "data/image_transform.h"

namespace lora::tools {
namespace {

constexpr uint8_t kInside = 128;
constexpr double kPlainShare = 0.95;  // of the edge's pixels
constexpr int kPlainStep = 12;        // levels from the middle colour

[[noreturn]] void refuse_box(std::string_view text, std::string_view why) {
    throw Error(ErrorCode::kConfig, fmt::format("box \"{}\" {}", text, why))
        .with_hint("left,top,width,height in pixels or percent: 10,20,300,400 or 10%,10%,80%,80%");
}

// Largest value within px along one direction of a plane of 0 and 255.
void spread(std::vector<uint8_t>& plane, int64_t lines, int64_t length, int64_t px, bool down) {
    std::vector<uint8_t> line(static_cast<size_t>(length));
    for (int64_t i = 0; i < lines; ++i) {
        const auto index = [&](int64_t k) {
            return static_cast<size_t>(down ? k * lines + i : i * length + k);
        };
        int64_t last = -px - 1;  // the last place inside, from the left, then from the right
        for (int64_t k = 0; k < length; ++k) {
            if (plane[index(k)] != 0) last = k;
            line[static_cast<size_t>(k)] = k - last <= px ? 255 : 0;
        }
        last = length + px + 1;
        for (int64_t k = length - 1; k >= 0; --k) {
            if (plane[index(k)] != 0) last = k;
            if (last - k <= px) line[static_cast<size_t>(k)] = 255;
        }
        for (int64_t k = 0; k < length; ++k) plane[index(k)] = line[static_cast<size_t>(k)];
    }
}

io::Image grey_picture(const Mask& mask) {
    io::Image out{mask.height_px, mask.width_px, {}};
    for (const uint8_t value : mask.value) out.rgb.insert(out.rgb.end(), 3, value);
    return out;
}

}  // namespace

Box parse_box(std::string_view text, io::ImageSize picture) {
    const auto words = split(text, ',');
    if (words.size() != 4) refuse_box(text, "is no four numbers");
    std::array<double, 4> number{};
    for (size_t i = 0; i < 4; ++i) {
        std::string_view word = trimmed(words[i]);
        const bool percent = word.ends_with('%');
        if (percent) word.remove_suffix(1);
        const auto value = parse_number<double>(word);
        if (!value || !std::isfinite(*value) || std::abs(*value) > 1e9) {
            refuse_box(text, fmt::format("holds \"{}\", which is no number", words[i]));
        }
        const auto side = static_cast<double>(i % 2 == 0 ? picture.width_px : picture.height_px);
        number[i] = percent ? *value * side / 100 : *value;
    }
    const auto edge = [](double value, int64_t most) {
        return std::clamp<int64_t>(std::llround(value), 0, most);
    };
    Box box;
    box.left_px = edge(number[0], picture.width_px);
    box.top_px = edge(number[1], picture.height_px);
    box.width_px = edge(number[0] + number[2], picture.width_px) - box.left_px;
    box.height_px = edge(number[1] + number[3], picture.height_px) - box.top_px;
    if (box.width_px < 1 || box.height_px < 1) {
        refuse_box(
            text,
            fmt::format(
                "holds nothing of a picture of {} x {}", picture.width_px, picture.height_px));
    }
    return box;
}

double Mask::share() const {
    if (value.empty()) return 0;
    const auto inside =
        std::count_if(value.begin(), value.end(), [](uint8_t v) { return v >= kInside; });
    return static_cast<double>(inside) / static_cast<double>(value.size());
}

std::optional<Box> Mask::bounds() const {
    int64_t left = width_px;
    int64_t right = -1;
    int64_t top = height_px;
    int64_t bottom = -1;
    for (int64_t y = 0; y < height_px; ++y) {
        for (int64_t x = 0; x < width_px; ++x) {
            if (at(y, x) < kInside) continue;
            left = std::min(left, x);
            right = std::max(right, x);
            top = std::min(top, y);
            bottom = y;
        }
    }
    if (right < 0) return std::nullopt;
    return Box{left, top, right - left + 1, bottom - top + 1};
}

Mask mask_of_box(const Box& box, io::ImageSize picture) {
    Mask out{picture.height_px, picture.width_px, {}};
    out.value.assign(static_cast<size_t>(out.height_px * out.width_px), 0);
    for (int64_t y = box.top_px; y < box.top_px + box.height_px; ++y) {
        const auto row = out.value.begin() + y * out.width_px + box.left_px;
        std::fill(row, row + box.width_px, uint8_t{255});
    }
    return out;
}

Mask mask_of_picture(const io::Image& mask, io::ImageSize picture, const std::string& name) {
    if (mask.height_px != picture.height_px || mask.width_px != picture.width_px) {
        throw Error(ErrorCode::kData,
                    fmt::format("mask {} is {} x {}, its picture {} x {}",
                                name,
                                mask.width_px,
                                mask.height_px,
                                picture.width_px,
                                picture.height_px))
            .with_hint("paint the mask on a copy of the picture");
    }
    Mask out{picture.height_px, picture.width_px, {}};
    out.value.resize(mask.rgb.size() / 3);
    for (size_t i = 0; i < out.value.size(); ++i) {
        const uint8_t* rgb = mask.rgb.data() + 3 * i;
        out.value[i] = std::max({rgb[0], rgb[1], rgb[2]});
    }
    return out;
}

Mask grown(const Mask& mask, int64_t px) {
    Mask out = mask;
    for (uint8_t& value : out.value) value = value >= kInside ? 255 : 0;
    if (px < 1) return out;
    spread(out.value, out.height_px, out.width_px, px, false);
    spread(out.value, out.width_px, out.height_px, px, true);
    return out;
}

Mask shrunk_by(const Mask& mask, int64_t px) {
    Mask out = mask;
    for (uint8_t& value : out.value) value = value >= kInside ? 0 : 255;
    out = grown(out, px);
    for (int64_t y = 0; y < out.height_px; ++y) {
        for (int64_t x = 0; x < out.width_px; ++x) {
            const bool at_edge = std::min({y, x, out.height_px - 1 - y, out.width_px - 1 - x}) < px;
            uint8_t& value = out.value[static_cast<size_t>(y * out.width_px + x)];
            value = at_edge || value != 0 ? 0 : 255;
        }
    }
    return out;
}

Mask resized(const Mask& mask, int64_t height, int64_t width) {
    if (mask.height_px == height && mask.width_px == width) return mask;
    const io::Image image = data::resize(grey_picture(mask), {width, height});
    Mask out{height, width, {}};
    out.value.resize(image.rgb.size() / 3);
    for (size_t i = 0; i < out.value.size(); ++i) out.value[i] = image.rgb[3 * i];
    return out;
}

Colour parse_colour(std::string_view text) {
    const std::string word = lower_ascii(trimmed(text));
    if (word == "white") return {255, 255, 255};
    if (word == "black") return {0, 0, 0};
    if (word == "gray" || word == "grey") return {128, 128, 128};
    const std::string_view digits = std::string_view(word).substr(word.starts_with('#') ? 1 : 0);
    uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 6 || error != std::errc() || end != digits.data() + digits.size()) {
        throw Error(ErrorCode::kConfig, fmt::format("\"{}\" is no colour", text))
            .with_hint("white, black, gray or #rrggbb");
    }
    return {static_cast<uint8_t>(value >> 16U),
            static_cast<uint8_t>(value >> 8U),
            static_cast<uint8_t>(value)};
}

bool has_plain_edge(const io::Image& image) {
    std::array<std::vector<uint8_t>, 3> edge;
    for (int64_t y = 0; y < image.height_px; ++y) {
        const bool whole_row = y == 0 || y == image.height_px - 1;
        for (int64_t x = 0; x < image.width_px;
             x += whole_row ? 1 : std::max<int64_t>(1, image.width_px - 1)) {
            const auto* rgb = image.rgb.data() + 3 * (y * image.width_px + x);
            for (size_t c = 0; c < 3; ++c) edge[c].push_back(rgb[c]);
        }
    }
    if (edge[0].empty()) return false;
    std::array<int, 3> middle{};
    for (size_t c = 0; c < 3; ++c) {
        std::vector<uint8_t> sorted = edge[c];
        const auto half = sorted.begin() + std::ssize(sorted) / 2;
        std::nth_element(sorted.begin(), half, sorted.end());
        middle[c] = *half;
    }
    int64_t same = 0;
    for (size_t i = 0; i < edge[0].size(); ++i) {
        bool near = true;
        for (size_t c = 0; c < 3; ++c)
            near = near && std::abs(edge[c][i] - middle[c]) <= kPlainStep;
        same += near ? 1 : 0;
    }
    return static_cast<double>(same) >= kPlainShare * static_cast<double>(edge[0].size());
}

}  // namespace lora::tools
