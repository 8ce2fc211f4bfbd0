#include "tools/cutout.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "data/image_transform.h"
#include "tools/min_cut.h"

namespace lora::tools {
namespace {

constexpr int kRounds = 5;
constexpr size_t kComponents = 5;
constexpr double kSmoothness = 50;  // cost of an edge between equal neighbours, as in the paper
constexpr double kCostUnit = 1000;  // costs become whole numbers
constexpr double kLeastSpread = 4;  // added to variances, in squared grey levels
constexpr double kDefaultMargin = 0.04;
constexpr double kRoughness = 0.03;  // how far a rough mask may be off, of the longer side
constexpr double kSpeck = 0.1;       // parts below this share of the largest go
constexpr double kHole = 0.02;       // of the picture: smaller holes are closed

using Pixel = std::array<double, 3>;

enum class Place : uint8_t { kBackground, kFigure, kMaybeBackground, kMaybeFigure };

bool is_figure(Place place) { return place == Place::kFigure || place == Place::kMaybeFigure; }

// One Gaussian of colour: -log of its weighted density is what a pixel costs.
struct Gaussian {
    Pixel mean{};
    std::array<double, 6> inverse{};  // xx yy zz xy xz yz
    double constant = std::numeric_limits<double>::infinity();

    [[nodiscard]] double cost(const Pixel& p) const {
        const double x = p[0] - mean[0];
        const double y = p[1] - mean[1];
        const double z = p[2] - mean[2];
        return constant + 0.5 * (inverse[0] * x * x + inverse[1] * y * y + inverse[2] * z * z) +
               inverse[3] * x * y + inverse[4] * x * z + inverse[5] * y * z;
    }
};

Gaussian fit(const std::vector<Pixel>& pixels, const std::vector<size_t>& component, size_t which) {
    Pixel sum{};
    std::array<double, 6> product{};
    double count = 0;
    for (size_t i = 0; i < pixels.size(); ++i) {
        if (component[i] != which) continue;
        const Pixel& p = pixels[i];
        for (size_t c = 0; c < 3; ++c) {
            sum[c] += p[c];
            product[c] += p[c] * p[c];
        }
        product[3] += p[0] * p[1];
        product[4] += p[0] * p[2];
        product[5] += p[1] * p[2];
        ++count;
    }
    Gaussian out;
    if (count == 0) return out;
    for (size_t c = 0; c < 3; ++c) out.mean[c] = sum[c] / count;
    const Pixel& m = out.mean;
    const double xx = product[0] / count - m[0] * m[0] + kLeastSpread;
    const double yy = product[1] / count - m[1] * m[1] + kLeastSpread;
    const double zz = product[2] / count - m[2] * m[2] + kLeastSpread;
    const double xy = product[3] / count - m[0] * m[1];
    const double xz = product[4] / count - m[0] * m[2];
    const double yz = product[5] / count - m[1] * m[2];
    const double det =
        xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz);
    if (det <= 0) return out;
    out.inverse = {(yy * zz - yz * yz) / det,
                   (xx * zz - xz * xz) / det,
                   (xx * yy - xy * xy) / det,
                   (xz * yz - xy * zz) / det,
                   (xy * yz - xz * yy) / det,
                   (xy * xz - xx * yz) / det};
    out.constant = 0.5 * std::log(det) - std::log(count / static_cast<double>(pixels.size()));
    return out;
}

double distance(const Pixel& a, const Pixel& b) {
    double out = 0;
    for (size_t c = 0; c < 3; ++c) out += (a[c] - b[c]) * (a[c] - b[c]);
    return out;
}

// A mixture of Gaussians, fitted by k-means from colours that lie far apart.
class Mixture {
public:
    explicit Mixture(const std::vector<Pixel>& pixels) {
        std::vector<size_t> component = clusters(pixels);
        for (int round = 0; round < 3; ++round) {
            for (size_t k = 0; k < kComponents; ++k) parts_[k] = fit(pixels, component, k);
            for (size_t i = 0; i < pixels.size(); ++i) component[i] = best(pixels[i]);
        }
    }

    [[nodiscard]] double cost(const Pixel& pixel) const { return parts_[best(pixel)].cost(pixel); }

private:
    [[nodiscard]] size_t best(const Pixel& pixel) const {
        size_t out = 0;
        double least = parts_[0].cost(pixel);
        for (size_t k = 1; k < kComponents; ++k) {
            const double cost = parts_[k].cost(pixel);
            if (cost < least) {
                least = cost;
                out = k;
            }
        }
        return out;
    }

    static std::vector<size_t> clusters(const std::vector<Pixel>& pixels) {
        std::vector<Pixel> centres{pixels[pixels.size() / 2]};
        std::vector<double> away(pixels.size(), std::numeric_limits<double>::infinity());
        while (centres.size() < kComponents) {
            size_t furthest = 0;
            for (size_t i = 0; i < pixels.size(); ++i) {
                away[i] = std::min(away[i], distance(pixels[i], centres.back()));
                if (away[i] > away[furthest]) furthest = i;
            }
            centres.push_back(pixels[furthest]);
        }
        std::vector<size_t> out(pixels.size());
        for (int round = 0; round < 4; ++round) {
            std::array<Pixel, kComponents> sum{};
            std::array<double, kComponents> count{};
            for (size_t i = 0; i < pixels.size(); ++i) {
                size_t nearest = 0;
                for (size_t k = 1; k < kComponents; ++k) {
                    if (distance(pixels[i], centres[k]) < distance(pixels[i], centres[nearest])) {
                        nearest = k;
                    }
                }
                out[i] = nearest;
                for (size_t c = 0; c < 3; ++c) sum[nearest][c] += pixels[i][c];
                ++count[nearest];
            }
            for (size_t k = 0; k < kComponents; ++k) {
                if (count[k] == 0) continue;
                for (size_t c = 0; c < 3; ++c) centres[k][c] = sum[k][c] / count[k];
            }
        }
        return out;
    }

    std::array<Gaussian, kComponents> parts_;
};

struct Step {
    int64_t dy;
    int64_t dx;
};
constexpr std::array<Step, 4> kSteps = {{{0, 1}, {1, 0}, {1, 1}, {1, -1}}};

struct Work {
    int64_t height = 0;
    int64_t width = 0;
    std::vector<Pixel> pixels;
    std::vector<Place> places;

    [[nodiscard]] size_t index(int64_t y, int64_t x) const {
        return static_cast<size_t>(y * width + x);
    }
    template <typename Fn>
    void for_each_pair(Fn&& fn) const {
        for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) {
                for (const Step& step : kSteps) {
                    const int64_t y2 = y + step.dy;
                    const int64_t x2 = x + step.dx;
                    if (y2 >= height || x2 < 0 || x2 >= width) continue;
                    fn(index(y, x), index(y2, x2), step.dy != 0 && step.dx != 0);
                }
            }
        }
    }
    [[nodiscard]] std::vector<Pixel> pixels_of(bool figure) const {
        std::vector<Pixel> out;
        for (size_t i = 0; i < pixels.size(); ++i) {
            if (is_figure(places[i]) == figure) out.push_back(pixels[i]);
        }
        return out;
    }
};

int64_t whole(double cost) { return std::llround(std::clamp(cost, 0.0, 1e9) * kCostUnit); }

// One round: both mixtures anew, then the cheapest cut. False when a side has become empty.
bool cut_once(Work& work, double contrast) {
    const std::vector<Pixel> figure = work.pixels_of(true);
    const std::vector<Pixel> background = work.pixels_of(false);
    if (figure.empty() || background.empty()) return false;
    const Mixture of_figure(figure);
    const Mixture of_background(background);
    const int64_t certain = whole(9 * kSmoothness);
    const auto count = static_cast<int64_t>(work.pixels.size());
    MinCut cut(count, 4 * count);
    for (size_t i = 0; i < work.pixels.size(); ++i) {
        const auto node = static_cast<int64_t>(i);
        switch (work.places[i]) {
            case Place::kFigure: cut.add_terminal(node, certain, 0); break;
            case Place::kBackground: cut.add_terminal(node, 0, certain); break;
            default: {
                const double as_figure = of_figure.cost(work.pixels[i]);
                const double as_background = of_background.cost(work.pixels[i]);
                const double least = std::min(as_figure, as_background);
                cut.add_terminal(node, whole(as_background - least), whole(as_figure - least));
            }
        }
    }
    work.for_each_pair([&](size_t a, size_t b, bool diagonal) {
        const double likeness =
            kSmoothness * std::exp(-contrast * distance(work.pixels[a], work.pixels[b]));
        const int64_t cost = whole(diagonal ? likeness / std::sqrt(2.0) : likeness);
        cut.add_edge(static_cast<int64_t>(a), static_cast<int64_t>(b), cost, cost);
    });
    cut.solve();
    for (size_t i = 0; i < work.pixels.size(); ++i) {
        if (work.places[i] == Place::kFigure || work.places[i] == Place::kBackground) continue;
        work.places[i] = cut.on_source_side(static_cast<int64_t>(i)) ? Place::kMaybeFigure
                                                                     : Place::kMaybeBackground;
    }
    return true;
}

double contrast_of(const Work& work) {
    double sum = 0;
    double pairs = 0;
    work.for_each_pair([&](size_t a, size_t b, bool) {
        sum += distance(work.pixels[a], work.pixels[b]);
        ++pairs;
    });
    return sum > 0 ? pairs / (2 * sum) : 0;
}

// Connected places (4 neighbours) of one side, as lists of indices.
std::vector<std::vector<size_t>> parts_of(const Work& work, bool figure) {
    std::vector<std::vector<size_t>> out;
    std::vector<bool> seen(work.places.size(), false);
    for (size_t start = 0; start < seen.size(); ++start) {
        if (seen[start] || is_figure(work.places[start]) != figure) continue;
        std::vector<size_t> part{start};
        seen[start] = true;
        for (size_t next = 0; next < part.size(); ++next) {
            const auto y = static_cast<int64_t>(part[next]) / work.width;
            const auto x = static_cast<int64_t>(part[next]) % work.width;
            for (const Step& step : {Step{0, 1}, Step{0, -1}, Step{1, 0}, Step{-1, 0}}) {
                const int64_t y2 = y + step.dy;
                const int64_t x2 = x + step.dx;
                if (y2 < 0 || x2 < 0 || y2 >= work.height || x2 >= work.width) continue;
                const size_t i = work.index(y2, x2);
                if (seen[i] || is_figure(work.places[i]) != figure) continue;
                seen[i] = true;
                part.push_back(i);
            }
        }
        out.push_back(std::move(part));
    }
    return out;
}

// Specks away, small holes closed.
void tidy(Work& work) {
    size_t largest = 0;
    const auto figures = parts_of(work, true);
    for (const auto& part : figures) largest = std::max(largest, part.size());
    for (const auto& part : figures) {
        if (static_cast<double>(part.size()) >= kSpeck * static_cast<double>(largest)) continue;
        for (const size_t i : part) work.places[i] = Place::kMaybeBackground;
    }
    const double hole = kHole * static_cast<double>(work.places.size());
    for (const auto& part : parts_of(work, false)) {
        if (static_cast<double>(part.size()) > hole) continue;
        for (const size_t i : part) work.places[i] = Place::kMaybeFigure;
    }
}

// What is known of each place, on the small copy.
std::vector<Place> places_of(const FigureHint& hint, const io::Image& image, const Work& work) {
    std::vector<Place> out(work.pixels.size(), Place::kBackground);
    if (hint.mask) {
        const Mask small = resized(*hint.mask, work.height, work.width);
        const auto off = static_cast<int64_t>(
            std::lround(kRoughness * static_cast<double>(std::max(work.height, work.width))));
        const Mask widest = grown(small, std::max<int64_t>(1, off));
        const Mask core = shrunk_by(small, std::max<int64_t>(1, off));
        for (size_t i = 0; i < out.size(); ++i) {
            if (widest.value[i] == 0) continue;
            out[i] = core.value[i] != 0      ? Place::kFigure
                     : small.value[i] >= 128 ? Place::kMaybeFigure
                                             : Place::kMaybeBackground;
        }
        return out;
    }
    const double down = static_cast<double>(work.height) / static_cast<double>(image.height_px);
    const double across = static_cast<double>(work.width) / static_cast<double>(image.width_px);
    const double margin = kDefaultMargin;
    double top = margin * static_cast<double>(work.height);
    double left = margin * static_cast<double>(work.width);
    double bottom = static_cast<double>(work.height) - top;
    double right = static_cast<double>(work.width) - left;
    if (hint.box) {
        top = static_cast<double>(hint.box->top_px) * down;
        left = static_cast<double>(hint.box->left_px) * across;
        bottom = static_cast<double>(hint.box->top_px + hint.box->height_px) * down;
        right = static_cast<double>(hint.box->left_px + hint.box->width_px) * across;
    }
    for (int64_t y = 0; y < work.height; ++y) {
        for (int64_t x = 0; x < work.width; ++x) {
            // A box over the whole picture leaves its outermost places as background to learn from.
            const bool edge = std::min({y, x, work.height - 1 - y, work.width - 1 - x}) == 0;
            const double at_y = static_cast<double>(y) + 0.5;
            const double at_x = static_cast<double>(x) + 0.5;
            if (!edge && at_y > top && at_y < bottom && at_x > left && at_x < right) {
                out[work.index(y, x)] = Place::kMaybeFigure;
            }
        }
    }
    return out;
}

Mask softened(const Work& work) {
    Mask out{work.height, work.width, {}};
    out.value.resize(work.places.size());
    for (int64_t y = 0; y < work.height; ++y) {
        for (int64_t x = 0; x < work.width; ++x) {
            int inside = 0;
            int all = 0;
            for (int64_t y2 = std::max<int64_t>(0, y - 1); y2 <= std::min(y + 1, work.height - 1);
                 ++y2) {
                for (int64_t x2 = std::max<int64_t>(0, x - 1);
                     x2 <= std::min(x + 1, work.width - 1);
                     ++x2) {
                    const int weight = (y2 == y ? 2 : 1) * (x2 == x ? 2 : 1);
                    all += weight;
                    if (is_figure(work.places[work.index(y2, x2)])) inside += weight;
                }
            }
            out.value[work.index(y, x)] = static_cast<uint8_t>((255 * inside + all / 2) / all);
        }
    }
    return out;
}

}  // namespace

std::optional<Mask> GrabCut::figure_of(const io::Image& image, const FigureHint& hint) const {
    const io::Image small = data::shrunk(image, working_side_px_);
    Work work;
    work.height = small.height_px;
    work.width = small.width_px;
    work.pixels.resize(small.rgb.size() / 3);
    for (size_t i = 0; i < work.pixels.size(); ++i) {
        for (size_t c = 0; c < 3; ++c) work.pixels[i][c] = small.rgb[3 * i + c];
    }
    work.places = places_of(hint, image, work);
    const double contrast = contrast_of(work);
    for (int round = 0; round < kRounds; ++round) {
        const std::vector<Place> before = work.places;
        if (!cut_once(work, contrast)) return std::nullopt;
        if (work.places == before) break;
    }
    tidy(work);
    const auto inside = std::count_if(work.places.begin(), work.places.end(), is_figure);
    const double share = static_cast<double>(inside) / static_cast<double>(work.places.size());
    if (share < 0.01 || share > 0.98) return std::nullopt;
    return resized(softened(work), image.height_px, image.width_px);
}

io::Image on_plain_background(const io::Image& image, const Mask& figure, Colour background) {
    io::Image out = image;
    for (size_t i = 0; i < figure.value.size(); ++i) {
        // The outer half of a mixed edge shows the old background: it goes.
        const int cover = std::clamp((static_cast<int>(figure.value[i]) - 100) * 255 / 110, 0, 255);
        for (size_t c = 0; c < 3; ++c) {
            uint8_t& value = out.rgb[3 * i + c];
            value =
                static_cast<uint8_t>((cover * value + (255 - cover) * background[c] + 127) / 255);
        }
    }
    return out;
}

}  // namespace lora::tools
