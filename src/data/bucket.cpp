#include "data/bucket.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"

namespace lora::data {

namespace {

constexpr int64_t kSideMultiplePx = 64;  // 8 pixels a latent, three halvings in the UNet

int64_t floor_sqrt(int64_t value) {
    auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(value)));
    while (root * root > value) --root;
    while ((root + 1) * (root + 1) <= value) ++root;
    return root;
}

int64_t round_half_up(double value) { return static_cast<int64_t>(std::floor(value + 0.5)); }

double ratio(ImageSize size) {
    return static_cast<double>(size.width_px) / static_cast<double>(size.height_px);
}

int64_t trim_half(int64_t resized, int64_t bucket) {
    return resized > bucket ? (resized - bucket) / 2 : 0;
}

BucketChoice finish(ImageSize image, ImageSize bucket, ImageSize resized) {
    BucketChoice choice{.bucket = bucket, .resized = resized};
    choice.crop_left_px = trim_half(resized.width_px, bucket.width_px);
    choice.crop_top_px = trim_half(resized.height_px, bucket.height_px);
    if (bucket.height_px > 0) choice.ar_error = ratio(bucket) - ratio(image);
    return choice;
}

void list_newest(const BucketOptions& o, std::set<ImageSize>& out) {
    const int64_t step = o.bucket_reso_steps_px;
    const int64_t area = o.resolution.width_px * o.resolution.height_px;
    const int64_t min = o.min_bucket_reso_px / step * step;
    const int64_t max = (o.max_bucket_reso_px + step - 1) / step * step;
    const int64_t square = floor_sqrt(area) / step * step;
    out.insert({square, square});
    for (int64_t w = min; w <= max; w += step) {
        const int64_t h = w > 0 ? std::min(max, area / w / step * step) : 0;
        if (h < min || h <= 0) continue;
        out.insert({w, h});
        out.insert({h, w});
    }
}

void list_v065(const BucketOptions& o, std::set<ImageSize>& out) {
    const int64_t step = o.bucket_reso_steps_px;
    const int64_t area = (o.resolution.width_px / step) * (o.resolution.height_px / step);
    const int64_t square = floor_sqrt(area) * step;
    out.insert({square, square});
    for (int64_t w = o.min_bucket_reso_px; w <= o.max_bucket_reso_px; w += step) {
        if (w < step) continue;
        const int64_t h = std::min(o.max_bucket_reso_px, area / (w / step) * step);
        out.insert({w, h});
        out.insert({h, w});
    }
}

void add_error(Diagnostics& list, std::string place, std::string text, std::string hint) {
    list.push_back({Severity::kError, std::move(place), std::move(text), std::move(hint)});
}

}  // namespace

std::string to_string(ImageSize size) {
    return fmt::format("{}x{}", size.width_px, size.height_px);
}

Diagnostics check_bucket_options(const BucketOptions& o) {
    constexpr int64_t kMaxSidePx = 16384;
    Diagnostics list;
    const auto [w, h] = o.resolution;
    if (w < kSideMultiplePx || h < kSideMultiplePx || w % kSideMultiplePx != 0 ||
        h % kSideMultiplePx != 0 || w > kMaxSidePx || h > kMaxSidePx) {
        const auto nearest = [&](int64_t side) {
            return std::clamp((side + kSideMultiplePx / 2) / kSideMultiplePx * kSideMultiplePx,
                              kSideMultiplePx,
                              kMaxSidePx);
        };
        add_error(list,
                  "resolution",
                  fmt::format("resolution {} does not work: each side must be a multiple of 64 px "
                              "from 64 to {}",
                              to_string(o.resolution),
                              kMaxSidePx),
                  fmt::format("use {},{}", nearest(w), nearest(h)));
        return list;
    }
    if (!o.enable_bucket) return list;
    if (o.bucket_reso_steps_px < kSideMultiplePx || o.bucket_reso_steps_px % kSideMultiplePx != 0) {
        add_error(list,
                  "bucket_reso_steps",
                  fmt::format("bucket_reso_steps is {}, which is not a multiple of 64",
                              o.bucket_reso_steps_px),
                  "use 64");
    }
    if (o.no_upscale) return list;
    if (o.min_bucket_reso_px < 1 || o.min_bucket_reso_px > std::min(w, h)) {
        add_error(
            list,
            "min_bucket_reso",
            fmt::format("min_bucket_reso {} is not between 1 and the shorter side of resolution {}",
                        o.min_bucket_reso_px,
                        to_string(o.resolution)),
            fmt::format("use at most {}", std::min(w, h)));
    }
    if (o.max_bucket_reso_px < std::max(w, h) || o.max_bucket_reso_px > kMaxSidePx) {
        add_error(
            list,
            "max_bucket_reso",
            fmt::format("max_bucket_reso {} is not between the longer side of resolution {} and {}",
                        o.max_bucket_reso_px,
                        to_string(o.resolution),
                        kMaxSidePx),
            fmt::format("use at least {}", std::max(w, h)));
    }
    return list;
}

std::vector<ImageSize> list_buckets(const BucketOptions& options) {
    if (!options.enable_bucket) return {options.resolution};
    if (options.no_upscale) return {};
    LORA_CHECK(options.bucket_reso_steps_px > 0);
    std::set<ImageSize> sizes;
    if (options.rule == BucketRule::kNewest) {
        list_newest(options, sizes);
    } else {
        list_v065(options, sizes);
    }
    return {sizes.begin(), sizes.end()};
}

BucketChooser::BucketChooser(const BucketOptions& options) : options_(options) {
    for (const Diagnostic& found : check_bucket_options(options)) {
        throw Error(ErrorCode::kConfig, found.text).with_hint(found.hint);
    }
    buckets_ = list_buckets(options);
}

BucketChooser BucketChooser::unchecked(const BucketOptions& options) {
    return BucketChooser(options, list_buckets(options));
}

BucketChoice BucketChooser::choose(ImageSize image) const {
    LORA_CHECK(image.width_px > 0 && image.height_px > 0);
    if (options_.enable_bucket && options_.no_upscale) return choose_no_upscale(image);
    return choose_predefined(image);
}

BucketChoice BucketChooser::choose_predefined(ImageSize image) const {
    const double ar = ratio(image);
    ImageSize best = image;
    if (!std::binary_search(buckets_.begin(), buckets_.end(), image)) {
        double best_error = std::numeric_limits<double>::infinity();
        for (const ImageSize& bucket : buckets_) {
            const double error = std::abs(ratio(bucket) - ar);
            if (error < best_error) {
                best_error = error;
                best = bucket;
            }
        }
    }
    const double scale =
        ar > ratio(best)
            ? static_cast<double>(best.height_px) / static_cast<double>(image.height_px)
            : static_cast<double>(best.width_px) / static_cast<double>(image.width_px);
    const ImageSize resized = {round_half_up(static_cast<double>(image.width_px) * scale),
                               round_half_up(static_cast<double>(image.height_px) * scale)};
    return finish(image, best, resized);
}

BucketChoice BucketChooser::choose_no_upscale(ImageSize image) const {
    const int64_t step = options_.bucket_reso_steps_px;
    const int64_t area = options_.resolution.width_px * options_.resolution.height_px;
    const double ar = ratio(image);
    ImageSize resized = image;
    if (image.width_px * image.height_px > area) {
        const auto to_step = [step](double x) {
            const int64_t rounded = round_half_up(x);
            return rounded - rounded % step;
        };
        const double width = std::sqrt(static_cast<double>(area) * ar);
        const double height = static_cast<double>(area) / width;
        const int64_t w1 = to_step(width);
        const int64_t h1 = to_step(static_cast<double>(w1) / ar);
        const int64_t h2 = to_step(height);
        const int64_t w2 = to_step(static_cast<double>(h2) * ar);
        if (h1 == 0 || h2 == 0) {
            resized = {w2, 0};
        } else if (std::abs(ratio({w1, h1}) - ar) < std::abs(ratio({w2, h2}) - ar)) {
            resized = {w1, round_half_up(static_cast<double>(w1) / ar)};
        } else {
            resized = {round_half_up(static_cast<double>(h2) * ar), h2};
        }
    }
    const ImageSize bucket = {resized.width_px - resized.width_px % step,
                              resized.height_px - resized.height_px % step};
    return finish(image, bucket, resized);
}

}  // namespace lora::data
