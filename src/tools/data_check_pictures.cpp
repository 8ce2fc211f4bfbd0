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

namespace lora::tools::internal {
namespace {

using enum Severity;

constexpr int64_t kSharpnessSide = 512;  // pictures are judged at about this size
constexpr double kBlurred = 0.62;        // the blur effect lies between 0 (sharp) and 1
constexpr int kLikeBits = 3;             // differing bits of 128 in both directions
constexpr double kFlat = 4.0;            // grey levels of spread below which there is nothing

struct Judged {
    std::string path;
    std::optional<Error> error;
    io::ImageSize size;
    std::string hash;  // of the bytes
    uint64_t across = 0;
    uint64_t down = 0;
    double blur = 0;
    double spread = 0;
};

std::vector<float> grey_of(const io::Image& image) {
    std::vector<float> out(static_cast<size_t>(image.height_px * image.width_px));
    for (size_t i = 0; i < out.size(); ++i) {
        const uint8_t* rgb = image.rgb.data() + 3 * i;
        out[i] = 0.299F * rgb[0] + 0.587F * rgb[1] + 0.114F * rgb[2];
    }
    return out;
}

uint64_t difference_hash(const io::Image& image, bool down) {
    const data::ImageSize size = down ? data::ImageSize{8, 9} : data::ImageSize{9, 8};
    const io::Image tiny = data::resize(image, size);
    const std::vector<float> grey = grey_of(tiny);
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

// The blur effect along one direction: how little of the variation a further blur takes away.
double blur_along(const std::vector<float>& grey, int64_t height, int64_t width, bool down) {
    double before = 0;
    double taken = 0;
    const int64_t step = down ? width : 1;
    const int64_t lines = down ? width : height;
    const int64_t length = down ? height : width;
    for (int64_t line = 0; line < lines; ++line) {
        const int64_t start = down ? line : line * width;
        const auto at = [&](int64_t i) {
            return static_cast<double>(grey[static_cast<size_t>(start + i * step)]);
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

void judge_pixels(const io::Image& image, Judged& out) {
    out.across = difference_hash(image, false);
    out.down = difference_hash(image, true);
    const io::Image judged = data::shrunk(image, kSharpnessSide);
    const std::vector<float> grey = grey_of(judged);
    double sum = 0;
    double squares = 0;
    for (const float value : grey) {
        sum += value;
        squares += static_cast<double>(value) * value;
    }
    const auto count = static_cast<double>(grey.size());
    out.spread = std::sqrt(std::max(0.0, squares / count - (sum / count) * (sum / count)));
    out.blur = std::max(blur_along(grey, judged.height_px, judged.width_px, false),
                        blur_along(grey, judged.height_px, judged.width_px, true));
}

Judged judge(const std::string& path, bool no_decode) {
    Judged out;
    out.path = path;
    out.error = attempt([&] {
        if (no_decode) {
            out.size = io::read_image_file_size(path);
            return;
        }
        const auto bytes = read_binary_file(path);
        out.hash = sha256_hex(bytes);
        const io::Image image = io::decode_image(bytes, base_name(path));
        out.size = {image.height_px, image.width_px};
        judge_pixels(image, out);
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
        if (distinct[i]->spread < kFlat) continue;
        for (size_t j = 0; j < i; ++j) {
            const int bits = std::popcount(distinct[i]->across ^ distinct[j]->across) +
                             std::popcount(distinct[i]->down ^ distinct[j]->down);
            if (bits > kLikeBits || distinct[j]->spread < kFlat) continue;
            context.add(kWarning,
                        "near_duplicate",
                        distinct[i]->path,
                        fmt::format("looks like {}", distinct[j]->path),
                        "keep the better one");
            break;
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
        picture = judge(picture.path, context.options.no_decode);
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
    for (const Judged& picture : pictures) {
        if (picture.error) continue;
        if (picture.spread < kFlat) {
            context.add(kWarning, "blank", picture.path, "shows next to nothing", "remove it");
        } else if (picture.blur > kBlurred) {
            context.add(kWarning,
                        "blurred",
                        picture.path,
                        fmt::format("is not sharp (blur {:.2f} of 1)", picture.blur),
                        "use a sharper version or remove it");
        }
    }
}

}  // namespace lora::tools::internal
