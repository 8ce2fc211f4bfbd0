// A picture as one draw of it is trained: resized, cropped, colours changed, mirrored.
// Not here: the fixed fitting of pictures whose latents are kept (image_transform.h).
// Shapes   the result has the bucket's size.
// Threads  pure. Source  training-semantics 3.5, 3.6 (sd-scripts, newest version).
#pragma once

#include <optional>
#include <string_view>

#include "base/diagnostic.h"
#include "base/rng.h"
#include "data/bucket.h"
#include "data/subset.h"
#include "io/image_codec.h"

namespace lora::data {

struct Face {
    int64_t x_px = 0;  // centre
    int64_t y_px = 0;
    int64_t width_px = 0;
    int64_t height_px = 0;
};
// `name_cx_cy_w_h.png`; nothing when the name does not end so.
[[nodiscard]] std::optional<Face> face_of_name(std::string_view path);

// Everything wrong with such crops of pictures that go to buckets, or to one resolution.
[[nodiscard]] Diagnostics check_face_crop(const FaceCropRange& range, bool enable_bucket);

struct Draw {
    AugmentOptions options = {};
    BucketChoice choice = {};
    std::optional<Face> face = {};  // of the whole picture
    bool flipped = false;
};
// Random numbers in the order: crop, colours.
[[nodiscard]] io::Image draw_picture(const io::Image& image, const Draw& draw, Rng& rng);

// Hue by `units` of 2 degrees, as OpenCV counts it.
[[nodiscard]] io::Image shift_hue(const io::Image& image, double units);
// value^gamma on 0..255, clipped.
[[nodiscard]] io::Image apply_gamma(const io::Image& image, double gamma);

}  // namespace lora::data
