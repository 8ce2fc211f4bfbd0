#include "app/demo/picture_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

#include <fmt/format.h>

namespace lora::app {
namespace {

constexpr double kLeastBorderShare = 0.6;  // of the border ring
constexpr double kBorder = 0.05;           // width of the ring, of the picture's side

// The eye's radius, of the picture's side; the drawn zorp's is 0.13.
constexpr double kLeastEye = 0.06;
constexpr double kMostEye = 0.18;
// Steps of brightness (0 to 255). Drawn: 230, 120, 90; in the mini model's pictures a half of it.
constexpr double kLeastPupilStep = 55;  // from the pupil to the white around it
constexpr double kLeastEyeStep = 30;    // from the body to the white
constexpr double kLeastBellyStep = 16;  // from the body to the belly
constexpr double kLeastBodyStep = 30;   // distance of colours, from the background to the body
// Blue less red of the body. Teal has 135; what the mini model makes of it -12 to 114; of the
// tests' rose one -42 and less.
constexpr double kLeastCool = -20;
constexpr double kLeastHornWarmth = 45;  // red less blue
constexpr double kAsGood = 0.95;         // of the best score
// A second spot this good beside the eye makes it somebody's pair of eyes.
constexpr double kSecondEye = 0.8;

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

using Rgb = std::array<double, 3>;

double brightness(const Rgb& c) { return 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2]; }

double distance(const Rgb& a, const Rgb& b) {
    return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

class Picture {
public:
    explicit Picture(const io::Image& image) : width(image.width_px), height(image.height_px) {
        rgb.reserve(image.rgb.size() / 3);
        for (size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
            rgb.push_back({static_cast<double>(image.rgb[i]),
                           static_cast<double>(image.rgb[i + 1]),
                           static_cast<double>(image.rgb[i + 2])});
        }
    }
    // The nearest pixel; what is outside looks like the edge.
    [[nodiscard]] const Rgb& at(double x, double y) const {
        const auto column = std::clamp<int64_t>(std::lround(x), 0, width - 1);
        const auto row = std::clamp<int64_t>(std::lround(y), 0, height - 1);
        return rgb[static_cast<size_t>(row * width + column)];
    }

    int64_t width;
    int64_t height;
    std::vector<Rgb> rgb;
};

// Where to look, in radii of the eye from its centre. Proportions of the drawn zorp: pupil 0.4,
// body 2.05 to each side, belly from 1.1 to 2.9 below, horns around (1.3, -1.9).
struct Offset {
    double x;
    double y;
};
constexpr Offset kPupil[] = {{0, 0}, {0.2, 0}, {-0.2, 0}, {0, 0.2}, {0, -0.2}};
constexpr Offset kWhite[] = {{0.70, 0},
                             {0.49, 0.49},
                             {0, 0.70},
                             {-0.49, 0.49},
                             {-0.70, 0},
                             {-0.49, -0.49},
                             {0, -0.70},
                             {0.49, -0.49}};
constexpr Offset kBody[] = {{1.5, -0.5},
                            {1.5, 0},
                            {1.5, 0.5},
                            {1.5, 1.0},
                            {-1.5, -0.5},
                            {-1.5, 0},
                            {-1.5, 0.5},
                            {-1.5, 1.0}};
constexpr Offset kBelly[] = {{-0.5, 2.2}, {0, 2.3}, {0.5, 2.2}, {-0.35, 2.5}, {0.35, 2.5}};
constexpr Offset kLeftHorn[] = {{-1.3, -1.9}, {-1.15, -1.7}, {-1.4, -2.1}};
constexpr Offset kRightHorn[] = {{1.3, -1.9}, {1.15, -1.7}, {1.4, -2.1}};

struct Spot {
    double x = 0;
    double y = 0;
    double radius = 0;
    double score = 0;  // of its worst step of brightness, as multiples of the least one
};

const Rgb& look(const Picture& picture, const Spot& eye, const Offset& offset) {
    return picture.at(eye.x + offset.x * eye.radius, eye.y + offset.y * eye.radius);
}

Rgb mean_of(const Picture& picture, const Spot& eye, std::span<const Offset> where) {
    Rgb sum = {0, 0, 0};
    for (const Offset& offset : where) {
        const Rgb& c = look(picture, eye, offset);
        for (size_t k = 0; k < 3; ++k) sum[k] += c[k];
    }
    for (double& value : sum) value /= static_cast<double>(where.size());
    return sum;
}

// The n-th darkest of the points, n from 0.
template <size_t kCount>
double nth_brightness(const Picture& picture,
                      const Spot& eye,
                      const Offset (&where)[kCount],
                      size_t n) {
    std::array<double, kCount> values{};
    for (size_t i = 0; i < kCount; ++i) values[i] = brightness(look(picture, eye, where[i]));
    std::nth_element(values.begin(), values.begin() + n, values.end());
    return values[n];
}

// A dark pupil in a bright ring in a darker body. All around: of the ring the darkest point but one
// counts, of the body the brightest but one, so that a bar or a row of dots is no eye.
double eye_score(const Picture& picture, const Spot& eye) {
    const double white = nth_brightness(picture, eye, kWhite, 1);
    const double pupil = brightness(mean_of(picture, eye, kPupil));
    if (white - pupil < kLeastPupilStep) return 0;
    const double body = nth_brightness(picture, eye, kBody, std::size(kBody) - 2);
    return std::min((white - pupil) / kLeastPupilStep, (white - body) / kLeastEyeStep);
}

struct Range {
    double from;
    double to;
};

// `from` and on in steps, up to `to`.
std::vector<double> spaced(double from, double to, double step) {
    std::vector<double> places;
    double place = from;
    while (place <= to) {
        places.push_back(place);
        place += step;
    }
    return places;
}

// The best place for an eye in a part of the picture. Where many are as good, as in a drawing,
// their middle.
Spot find_eye(const Picture& picture, Range x_range, Range y_range) {
    const auto side = static_cast<double>(std::min(picture.width, picture.height));
    const double step = side / 96;
    std::vector<Spot> spots;
    Spot best;
    for (const double radius : spaced(kLeastEye * side, kMostEye * side, step)) {
        for (const double y : spaced(std::max(y_range.from, radius), y_range.to, step)) {
            for (const double x : spaced(std::max(x_range.from, radius), x_range.to, step)) {
                Spot spot{x, y, radius, 0};
                spot.score = eye_score(picture, spot);
                if (spot.score > best.score) best = spot;
                if (spot.score > 0 && spot.score >= kAsGood * best.score) spots.push_back(spot);
            }
        }
    }
    Spot middle;
    double count = 0;
    for (const Spot& spot : spots) {
        if (spot.score < kAsGood * best.score) continue;
        if (std::hypot(spot.x - best.x, spot.y - best.y) > best.radius) continue;
        middle.x += spot.x;
        middle.y += spot.y;
        middle.radius += spot.radius;
        ++count;
    }
    if (count == 0) return best;
    return {middle.x / count, middle.y / count, middle.radius / count, best.score};
}

// The named colour, its lighter stripes and dots, and everything between the two.
bool is_background(const Rgb& c, const Rgb& named) {
    const bool bright = named[0] + named[1] + named[2] >= 600;
    double best = 1e9;
    for (int i = 0; i <= 4; ++i) {
        Rgb shade{};
        for (size_t k = 0; k < 3; ++k) {
            shade[k] = std::clamp(named[k] + (bright ? -40.0 : 45.0) * i / 4, 0.0, 255.0);
        }
        best = std::min(best, distance(c, shade));
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
            right += is_background(picture.at(static_cast<double>(x), static_cast<double>(y)),
                                   named->rgb)
                         ? 1
                         : 0;
        }
    }
    return static_cast<double>(right) / static_cast<double>(std::max<int64_t>(all, 1));
}

// Per channel, of the outermost pixels.
Rgb median_border(const Picture& picture) {
    std::vector<Rgb> border;
    const auto right = static_cast<double>(picture.width - 1);
    const auto bottom = static_cast<double>(picture.height - 1);
    for (int64_t i = 0; i < picture.width; ++i) {
        const auto x = static_cast<double>(i);
        border.push_back(picture.at(x, 0));
        border.push_back(picture.at(x, bottom));
    }
    for (int64_t i = 0; i < picture.height; ++i) {
        const auto y = static_cast<double>(i);
        border.push_back(picture.at(0, y));
        border.push_back(picture.at(right, y));
    }
    Rgb median{};
    const auto middle = border.begin() + static_cast<std::ptrdiff_t>(border.size() / 2);
    for (size_t k = 0; k < 3; ++k) {
        std::nth_element(border.begin(), middle, border.end(), [k](const Rgb& a, const Rgb& b) {
            return a[k] < b[k];
        });
        median[k] = (*middle)[k];
    }
    return median;
}

// To the left and to the right of the eye there is something else than background.
bool is_inside(const Picture& picture, const Spot& eye, const Rgb& background) {
    size_t other = 0;
    for (const Offset& offset : kBody) {
        const Rgb& c = look(picture, eye, offset);
        other += distance(c, background) >= kLeastBodyStep ? 1 : 0;
    }
    return other + 2 >= std::size(kBody);
}

bool has_pair(const Picture& picture, const Spot& eye) {
    const double near = 1.6 * eye.radius;
    const double far = 4.5 * eye.radius;
    const double top = eye.y - 0.7 * eye.radius;
    const double bottom = eye.y + 0.7 * eye.radius;
    const Spot left = find_eye(picture, {eye.x - far, eye.x - near}, {top, bottom});
    const Spot right = find_eye(picture, {eye.x + near, eye.x + far}, {top, bottom});
    return std::max(left.score, right.score) >= kSecondEye * eye.score;
}

bool is_horn(const Picture& picture,
             const Spot& eye,
             std::span<const Offset> where,
             const Rgb& background) {
    const Rgb c = mean_of(picture, eye, where);
    return c[0] - c[2] >= kLeastHornWarmth && distance(c, background) >= kLeastBodyStep;
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
    return out + fmt::format("; border {:.2f}, eye {:.2f}, body blue less red {:.0f}",
                             background_share,
                             eye_score,
                             body_blue_less_red);
}

ZorpCheck check_zorp(const io::Image& image, std::string_view background) {
    ZorpCheck check;
    const Picture picture(image);
    check.background_share = border_share(picture, background);
    check.has_background = check.background_share >= kLeastBorderShare;
    const Rgb around = median_border(picture);
    const Spot eye = find_eye(
        picture, {0, static_cast<double>(picture.width)}, {0, static_cast<double>(picture.height)});
    check.eye_score = eye.score;
    check.has_eye = eye.score >= 1 && !has_pair(picture, eye);
    if (!check.has_eye) return check;
    const Rgb body = mean_of(picture, eye, kBody);
    check.body_blue_less_red = body[2] - body[0];
    check.has_body = check.body_blue_less_red >= kLeastCool && is_inside(picture, eye, around);
    const Rgb belly = mean_of(picture, eye, kBelly);
    check.has_belly = brightness(belly) - brightness(body) >= kLeastBellyStep;
    check.has_horns =
        is_horn(picture, eye, kLeftHorn, around) && is_horn(picture, eye, kRightHorn, around);
    return check;
}

}  // namespace lora::app
