// A picture as the mask of the loss: how much each place of the latent counts. Not the search for
// mask files (dataset.h).
// Shapes   planes F32 [H, W].
// Threads  pure. Source: sd-scripts' masked loss (training-semantics 5.6); PyTorch's "area".
#pragma once

#include "data/image_transform.h"

namespace lora::data {

// Each cell (y, x) of [height, width] is the mean of the rows floor(y H / height) to
// ceil((y + 1) H / height) and of the columns likewise.
[[nodiscard]] Tensor area_mean(const Tensor& plane, int64_t height, int64_t width);

// The picture's red channel, 0 to 1, on a latent of [height, width].
[[nodiscard]] Tensor to_loss_mask(const io::Image& image, int64_t height, int64_t width);

// Mirrored left to right.
[[nodiscard]] Tensor flip_plane(const Tensor& plane);

}  // namespace lora::data
