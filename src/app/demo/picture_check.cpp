#include "app/demo/picture_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <vector>

namespace lora::app {
namespace {

// Shares are of the whole picture unless they say otherwise; the drawn zorp has a body of about
// 0.24, an eye of 0.05, a belly of 0.06 and horns of 0.01 each.
constexpr double kLeastBorderShare = 0.6;  // of the border ring
constexpr double kLeastBody = 0.10;
constexpr double kMostBody = 0.50;
constexpr double kLeastOfTeal = 0.8;  // of all teal: the largest piece
constexpr double kLeastEye = 0.010;
constexpr double kMostEye = 0.12;
constexpr double kLeastPupil = 0.002;
constexpr double kLeastBelly = 0.010;
constexpr double kLeastHorns = 0.003;
constexpr double kBorder = 0.05;  // width of the ring, of the picture's side

struct Named {
    std::string_view name;
    std::array<double, 3> rgb;
};
// The colours of the mini model's world.
constexpr Named kColours[] = {
    {"red", {220, 50, 47}},
    {"orange", {240, 140, 30}},
    {"yellow", {245, 215, 60}},
    {"green", {70, 170, 80}},
    {"blue", {55, 110, 215}},
    {"purple", {130, 80, 190}},
    {"pink", {245, 150, 185}},
    {"brown", {135, 90, 55}},
    {"black", {35, 35, 40}},
    {"white", {250, 250, 250}},
    {"gray", {150, 150, 155}},
};

struct Hsv {
    double hue = 0;  // degrees
    double saturation = 0;
    double value = 0;  // 0..255
};

using Rgb = std::array<double, 3>;

Hsv to_hsv(const Rgb& c) {
    const double high = std::max({c[0], c[1], c[2]});
    const double low = std::min({c[0], c[1], c[2]});
    const double span = high - low;
    Hsv out{0, high > 0 ? span / high : 0, high};
    if (span <= 0) return out;
    if (high == c[0]) {
        out.hue = 60 * (c[1] - c[2]) / span;
    } else if (high == c[1]) {
        out.hue = 120 + 60 * (c[2] - c[0]) / span;
    } else {
        out.hue = 240 + 60 * (c[0] - c[1]) / span;
    }
    if (out.hue < 0) out.hue += 360;
    return out;
}

bool is_teal(const Hsv& c) {
    return c.hue > 158 && c.hue < 195 && c.saturation > 0.45 && c.value > 80 && c.value < 235;
}
bool is_white(const Hsv& c) { return c.value > 195 && c.saturation < 0.17; }
bool is_dark(const Hsv& c) { return c.value < 90; }
bool is_pale_green(const Hsv& c) {
    return c.value > 165 && c.saturation > 0.06 && c.saturation < 0.42 && c.hue > 85 && c.hue < 185;
}
bool is_horn(const Hsv& c) {
    return c.value > 170 && c.saturation > 0.4 && c.hue > 25 && c.hue < 58;
}

class Picture {
public:
    explicit Picture(const io::Image& image)
        : width(image.width_px), height(image.height_px), hsv(image.rgb.size() / 3) {
        rgb.reserve(hsv.size());
        for (size_t i = 0; i < hsv.size(); ++i) {
            const Rgb c = {static_cast<double>(image.rgb[3 * i]),
                           static_cast<double>(image.rgb[3 * i + 1]),
                           static_cast<double>(image.rgb[3 * i + 2])};
            rgb.push_back(c);
            hsv[i] = to_hsv(c);
        }
    }
    [[nodiscard]] size_t at(int64_t x, int64_t y) const {
        return static_cast<size_t>(y * width + x);
    }
    [[nodiscard]] double area() const { return static_cast<double>(hsv.size()); }

    int64_t width;
    int64_t height;
    std::vector<Hsv> hsv;
    std::vector<Rgb> rgb;
};

struct Box {
    int64_t left = 0;
    int64_t top = 0;
    int64_t right = 0;  // inclusive
    int64_t bottom = 0;
    [[nodiscard]] int64_t width() const { return right - left + 1; }
    [[nodiscard]] int64_t height() const { return bottom - top + 1; }
};

struct Piece {
    int64_t count = 0;
    Box box;
    double centre_x = 0;
    double centre_y = 0;
};

// Pixels of `wanted` inside `box` that touch each other by a side, largest piece first.
std::vector<Piece> pieces(const Picture& picture,
                          const Box& box,
                          const std::function<bool(const Hsv&)>& wanted) {
    std::vector<Piece> found;
    std::vector<char> seen(picture.hsv.size(), 0);
    std::vector<std::pair<int64_t, int64_t>> open;
    for (int64_t y0 = box.top; y0 <= box.bottom; ++y0) {
        for (int64_t x0 = box.left; x0 <= box.right; ++x0) {
            if (seen[picture.at(x0, y0)] != 0 || !wanted(picture.hsv[picture.at(x0, y0)])) continue;
            Piece piece{0, {x0, y0, x0, y0}, 0, 0};
            open.assign(1, {x0, y0});
            seen[picture.at(x0, y0)] = 1;
            while (!open.empty()) {
                const auto [x, y] = open.back();
                open.pop_back();
                ++piece.count;
                piece.centre_x += static_cast<double>(x);
                piece.centre_y += static_cast<double>(y);
                piece.box.left = std::min(piece.box.left, x);
                piece.box.right = std::max(piece.box.right, x);
                piece.box.top = std::min(piece.box.top, y);
                piece.box.bottom = std::max(piece.box.bottom, y);
                for (const auto& [nx, ny] :
                     {std::pair{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}}) {
                    if (nx < box.left || nx > box.right || ny < box.top || ny > box.bottom)
                        continue;
                    char& mark = seen[picture.at(nx, ny)];
                    if (mark != 0 || !wanted(picture.hsv[picture.at(nx, ny)])) continue;
                    mark = 1;
                    open.emplace_back(nx, ny);
                }
            }
            piece.centre_x /= static_cast<double>(piece.count);
            piece.centre_y /= static_cast<double>(piece.count);
            found.push_back(piece);
        }
    }
    std::sort(found.begin(), found.end(), [](const Piece& a, const Piece& b) {
        return a.count > b.count;
    });
    return found;
}

int64_t count_in(const Picture& picture,
                 const Box& box,
                 const std::function<bool(const Hsv&)>& wanted) {
    int64_t count = 0;
    for (int64_t y = std::max<int64_t>(0, box.top); y <= std::min(picture.height - 1, box.bottom);
         ++y) {
        for (int64_t x = std::max<int64_t>(0, box.left);
             x <= std::min(picture.width - 1, box.right);
             ++x) {
            count += wanted(picture.hsv[picture.at(x, y)]) ? 1 : 0;
        }
    }
    return count;
}

// The named colour, its lighter stripes and dots, and everything between the two.
bool is_background(const Rgb& c, const Rgb& named) {
    const bool bright = named[0] + named[1] + named[2] >= 600;
    double best = 1e9;
    for (int i = 0; i <= 4; ++i) {
        double distance = 0;
        for (size_t k = 0; k < 3; ++k) {
            const double shift = (bright ? -40.0 : 45.0) * i / 4;
            const double d = c[k] - std::clamp(named[k] + shift, 0.0, 255.0);
            distance += d * d;
        }
        best = std::min(best, std::sqrt(distance));
    }
    return best < 62;
}

double border_share(const Picture& picture, std::string_view background) {
    const Named* named = nullptr;
    for (const Named& colour : kColours) {
        if (colour.name == background) named = &colour;
    }
    if (named == nullptr) return 0;
    const auto ring =
        std::max<int64_t>(1, std::lround(kBorder * static_cast<double>(picture.width)));
    int64_t all = 0;
    int64_t right = 0;
    for (int64_t y = 0; y < picture.height; ++y) {
        for (int64_t x = 0; x < picture.width; ++x) {
            const int64_t edge = std::min({x, y, picture.width - 1 - x, picture.height - 1 - y});
            if (edge >= ring) continue;
            ++all;
            right += is_background(picture.rgb[picture.at(x, y)], named->rgb) ? 1 : 0;
        }
    }
    return static_cast<double>(right) / static_cast<double>(std::max<int64_t>(all, 1));
}

// One white piece in the upper half of the body, near its middle, with a dark pupil inside.
bool has_one_eye(const Picture& picture, const Box& body) {
    const Box upper = {body.left, body.top, body.right, body.top + body.height() * 6 / 10};
    const auto white = pieces(picture, upper, is_white);
    if (white.empty()) return false;
    const Piece& eye = white.front();
    const double share = static_cast<double>(eye.count) / picture.area();
    if (share < kLeastEye || share > kMostEye) return false;
    // A second one of half its size makes it somebody else's pair of eyes.
    if (white.size() > 1 && white[1].count * 2 > eye.count) return false;
    const double middle = static_cast<double>(body.left + body.right) / 2;
    if (std::abs(eye.centre_x - middle) > 0.2 * static_cast<double>(body.width())) return false;
    const double pupil = static_cast<double>(count_in(picture, eye.box, is_dark)) / picture.area();
    return pupil >= kLeastPupil;
}

bool has_pale_belly(const Picture& picture, const Box& body) {
    const Box lower = {body.left + body.width() / 6,
                       body.top + body.height() / 2,
                       body.right - body.width() / 6,
                       body.bottom};
    return static_cast<double>(count_in(picture, lower, is_pale_green)) / picture.area() >=
           kLeastBelly;
}

// Yellow to the left and to the right of the middle, around the top of the body.
bool has_two_horns(const Picture& picture, const Box& body) {
    const int64_t middle = (body.left + body.right) / 2;
    const int64_t above = body.top - body.height() / 4;
    const int64_t below = body.top + body.height() / 4;
    const int64_t gap = body.width() / 10;
    const Box left = {body.left - gap, above, middle - gap, below};
    const Box right = {middle + gap, above, body.right + gap, below};
    for (const Box& side : {left, right}) {
        const double share = static_cast<double>(count_in(picture, side, is_horn)) / picture.area();
        const double most =
            0.6 * static_cast<double>(side.width() * side.height()) / picture.area();
        // More than that is a yellow background.
        if (share < kLeastHorns || share > most) return false;
    }
    return true;
}

}  // namespace

std::string ZorpCheck::words() const {
    std::string out;
    const auto add = [&out](std::string_view word, bool is_there) {
        if (!out.empty()) out += ' ';
        out += is_there ? std::string(word) : "(" + std::string(word) + ")";
    };
    add("background", has_background);
    add("body", has_body);
    add("eye", has_eye);
    add("belly", has_belly);
    add("horns", has_horns);
    return out;
}

ZorpCheck check_zorp(const io::Image& image, std::string_view background) {
    ZorpCheck check;
    const Picture picture(image);
    check.background_share = border_share(picture, background);
    check.has_background = check.background_share >= kLeastBorderShare;
    const Box whole = {0, 0, picture.width - 1, picture.height - 1};
    const auto teal = pieces(picture, whole, is_teal);
    if (teal.empty()) return check;
    const Piece& body = teal.front();
    check.body_share = static_cast<double>(body.count) / picture.area();
    const double all_teal = static_cast<double>(count_in(picture, whole, is_teal));
    check.has_body = check.body_share >= kLeastBody && check.body_share <= kMostBody &&
                     static_cast<double>(body.count) >= kLeastOfTeal * all_teal;
    if (!check.has_body) return check;
    check.has_eye = has_one_eye(picture, body.box);
    check.has_belly = has_pale_belly(picture, body.box);
    check.has_horns = has_two_horns(picture, body.box);
    return check;
}

}  // namespace lora::app
