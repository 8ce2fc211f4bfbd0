// Pixels on the way to the VAE: resize as kohya does, crop, mirror, tensor in [-1, 1].
// Not here: decoding (io/image_codec.h), the choice of sizes (bucket.h).
// Shapes   pictures are 8-bit RGB, row-major; tensors F32 [3, H, W].
// Threads  pure. Source: OpenCV's INTER_AREA (shrinking), Pillow's Lanczos (growing), as
//          training-semantics 3.5 describes them.
#pragma once

#include <cstdint>

#include "data/bucket.h"
#include "io/image_codec.h"
#include "tensor/tensor.h"

namespace lora::data {

enum class ResizeFilter {
    kAuto,     // area when no side grows, else Lanczos
    kArea,     // exact box average; no side may grow
    kLanczos,  // Pillow's, 8-bit, horizontal pass first
};

[[nodiscard]] io::Image resize(const io::Image& image,
                               ImageSize size,
                               ResizeFilter filter = ResizeFilter::kAuto);
// The picture with its longer side at most `longest_px`; a smaller one as it is.
[[nodiscard]] io::Image shrunk(const io::Image& image, int64_t longest_px);
// The rectangle must lie inside the picture (kInternal).
[[nodiscard]] io::Image crop(const io::Image& image,
                             int64_t left_px,
                             int64_t top_px,
                             ImageSize size);
[[nodiscard]] io::Image flip_horizontal(const io::Image& image);
// Resize and centre crop as chosen; the result has the bucket's size.
[[nodiscard]] io::Image fit_to_bucket(const io::Image& image, const BucketChoice& choice);
// (value / 255 - 0.5) / 0.5 in float32. Returns [3, H, W].
[[nodiscard]] Tensor to_pixel_tensor(const io::Image& image);

}  // namespace lora::data
