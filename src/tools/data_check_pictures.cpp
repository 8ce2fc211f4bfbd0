// Pictures: readable, large enough, sharp, unlike each other.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "data/image_transform.h"
#include "io/image_codec.h"
#include "tools/internal/data_check.h"
#include "tools/picture_quality.h"

namespace lora::tools::internal {
namespace {

using enum Severity;

constexpr double kBlurred = 0.62;  // the blur effect lies between 0 (sharp) and 1
constexpr int kLikeBits = 3;       // differing bits of 128 in both directions
constexpr double kWeak = 70;       // quality below which a picture is named
constexpr size_t kWorstTold = 3;
constexpr double kStyleTold = 3;  // usual distances
constexpr double kFlat = 4.0;     // grey levels of spread below which there is nothing

struct Judged {
    std::string path;
    std::optional<Error> error;
    io::ImageSize size;
    std::string hash;  // of the bytes
    uint64_t across = 0;
    uint64_t down = 0;
    PictureQuality quality;
    StyleNumbers style;
};

uint64_t difference_hash(const io::Image& image, bool down) {
    const data::ImageSize size = down ? data::ImageSize{8, 9} : data::ImageSize{9, 8};
    const io::Image tiny = data::resize(image, size);
    const std::vector<float> grey = grey_picture(tiny).value;
    const auto width = static_cast<size_t>(tiny.width_px);
    uint64_t bits = 0;
    for (size_t y = 0; y < 8; ++y) {
        for (size_t x = 0; x < 8; ++x) {
            const size_t at = y * width + x;
            bits = bits << 1 | (grey[at] < grey[at + (down ? width : 1)] ? 1 : 0);
        }
    }
    return bits;
}

void judge_pixels(const io::Image& image, int64_t trained_px, Judged& out) {
    out.across = difference_hash(image, false);
    out.down = difference_hash(image, true);
    out.quality = judge_quality(image, trained_px);
    out.style = style_numbers(image);
}

Judged judge(const std::string& path, const CheckOptions& options) {
    Judged out;
    out.path = path;
    out.error = attempt([&] {
        if (options.no_decode) {
            out.size = io::read_image_file_size(path);
            return;
        }
        const auto bytes = read_binary_file(path);
        out.hash = sha256_hex(bytes);
        const io::Image image = io::decode_image(bytes, base_name(path));
        out.size = {image.height_px, image.width_px};
        judge_pixels(image, options.trained_px, out);
    });
    return out;
}

void check_sizes(const CheckContext& context, const std::vector<Judged>& pictures) {
    std::vector<int64_t> sides;
    for (const Judged& picture : pictures) {
        if (!picture.error) {
            sides.push_back(std::min(picture.size.height_px, picture.size.width_px));
        }
    }
    if (sides.empty()) return;
    const auto middle = sides.begin() + std::ssize(sides) / 2;
    std::nth_element(sides.begin(), middle, sides.end());
    const int64_t asked = context.options.min_side_px;
    const int64_t least = asked > 0 ? asked : std::clamp<int64_t>(*middle / 2, 64, 256);
    for (const Judged& picture : pictures) {
        if (picture.error) continue;
        const auto [height, width] = picture.size;
        if (std::min(height, width) < least) {
            context.add(kWarning,
                        "tiny",
                        picture.path,
                        fmt::format("{} x {} pixels are few to learn from", width, height),
                        "use a larger version or remove it");
        } else if (std::max(height, width) > 4 * std::min(height, width)) {
            context.add(kWarning,
                        "extreme_shape",
                        picture.path,
                        fmt::format("{} x {}: much of it will be cut off", width, height),
                        "crop it");
        }
    }
}

void check_likeness(const CheckContext& context, const std::vector<Judged>& pictures) {
    std::map<std::string, const Judged*> by_hash;
    std::vector<const Judged*> distinct;
    for (const Judged& picture : pictures) {
        if (picture.error || is_symlink(picture.path)) continue;
        const auto [row, is_new] = by_hash.emplace(picture.hash, &picture);
        if (is_new) {
            distinct.push_back(&picture);
            continue;
        }
        context.add(kWarning,
                    "duplicate",
                    picture.path,
                    fmt::format("is the same file as {}", row->second->path),
                    "remove one of them");
    }
    for (size_t i = 0; i < distinct.size(); ++i) {
        if (distinct[i]->quality.spread < kFlat) continue;
        for (size_t j = 0; j < i; ++j) {
            const int bits = std::popcount(distinct[i]->across ^ distinct[j]->across) +
                             std::popcount(distinct[i]->down ^ distinct[j]->down);
            if (bits > kLikeBits || distinct[j]->quality.spread < kFlat) continue;
            context.add(kWarning,
                        "near_duplicate",
                        distinct[i]->path,
                        fmt::format("looks like {}", distinct[j]->path),
                        "keep the better one");
            break;
        }
    }
}

// "sharpness 0.95, noise 0.80": the parts that are not whole.
std::string weak_parts(const PictureQuality& quality) {
    std::string out;
    const auto tell = [&](const char* name, double value) {
        if (value >= 0.995) return;
        out += fmt::format("{}{} {:.2f}", out.empty() ? "" : ", ", name, value);
    };
    tell("sharpness", quality.sharpness);
    tell("noise", quality.noise);
    tell("blocks", quality.blocks);
    tell("contrast", quality.contrast);
    tell("size", quality.size);
    tell("figure", quality.figure);
    return out.empty() ? "nothing found wrong" : out;
}

// Scores, the worst first (M173). Notes: the measures do not see what is drawn.
void check_quality(const CheckContext& context, const std::vector<Judged>& pictures) {
    struct Row {
        std::string path;
        PictureQuality quality;
    };
    std::vector<Row> rows;
    for (const Judged& picture : pictures) {
        if (picture.error) continue;
        rows.push_back({picture.path, picture.quality});
        // Small ones have a finding of their own, by what is usual in the folder.
        if (!context.options.list_quality) rows.back().quality.size = 1;
    }
    std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
        return a.quality.score() < b.quality.score();
    });
    std::string worst;
    size_t told = 0;
    for (const auto& [path, quality] : rows) {
        const bool is_weak = quality.score() < kWeak;
        if (context.options.list_quality) {
            context.add(
                kNote,
                "quality",
                path,
                fmt::format("quality {:.0f} of 100: {}", quality.score(), weak_parts(quality)),
                is_weak ? "look at it; a better copy, or leave it out" : "keep it");
        } else if (is_weak && told++ < kWorstTold) {
            worst += fmt::format("{}{} {:.0f} ({})",
                                 worst.empty() ? "" : "; ",
                                 base_name(path),
                                 quality.score(),
                                 weak_parts(quality));
        }
    }
    if (worst.empty()) return;
    context.add(kNote,
                "quality",
                context.options.folder,
                "the weakest pictures, of 100: " + worst,
                "look at them; --quality lists all");
}

// Pictures whose numbers lie far from the rest of their folder (M174).
void check_style(const CheckContext& context,
                 const std::vector<Judged>& pictures,
                 const std::vector<ScannedFolder>& folders) {
    size_t start = 0;
    for (const ScannedFolder& folder : folders) {
        std::vector<StyleNumbers> numbers;
        std::vector<const Judged*> rows;
        for (size_t i = start; i < start + folder.pictures.size(); ++i) {
            if (pictures[i].error) continue;
            numbers.push_back(pictures[i].style);
            rows.push_back(&pictures[i]);
        }
        start += folder.pictures.size();
        for (const StyleDistance& row : style_outliers(numbers)) {
            std::string what;
            for (size_t k = 0; k < StyleNumbers::kCount; ++k) {
                if (std::abs(row.apart[k]) < kStyleTold) continue;
                what += fmt::format("{}{} {}",
                                    what.empty() ? "" : ", ",
                                    row.apart[k] > 0 ? "more" : "less",
                                    StyleNumbers::kNames[k]);
            }
            context.add(kNote,
                        "style_outlier",
                        rows[row.picture]->path,
                        "looks unlike the other pictures of its folder: " + what,
                        "for one way of drawing keep few pictures of another");
        }
    }
}

}  // namespace

void check_pictures(const CheckContext& context, const std::vector<ScannedFolder>& folders) {
    std::vector<Judged> pictures;
    for (const ScannedFolder& folder : folders) {
        for (const ScannedPicture& picture : folder.pictures) {
            pictures.emplace_back();
            pictures.back().path = picture.path;
        }
    }
    ThreadPool pool;
    pool.parallel_for(std::ssize(pictures), [&](int64_t i) {
        Judged& picture = pictures[static_cast<size_t>(i)];
        picture = judge(picture.path, context.options);
    });
    for (const Judged& picture : pictures) {
        if (picture.error) {
            context.add(kError,
                        "unreadable",
                        picture.path,
                        picture.error->message(),
                        "replace or remove the file");
        }
    }
    check_sizes(context, pictures);
    if (context.options.no_decode) return;
    check_likeness(context, pictures);
    check_quality(context, pictures);
    check_style(context, pictures, folders);
    for (const Judged& picture : pictures) {
        if (picture.error) continue;
        if (picture.quality.spread < kFlat) {
            context.add(kWarning, "blank", picture.path, "shows next to nothing", "remove it");
        } else if (picture.quality.blur > kBlurred) {
            context.add(kWarning,
                        "blurred",
                        picture.path,
                        fmt::format("is not sharp (blur {:.2f} of 1)", picture.quality.blur),
                        "use a sharper version or remove it");
        }
    }
}

}  // namespace lora::tools::internal
