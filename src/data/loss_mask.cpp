#include "data/loss_mask.h"

#include <algorithm>

#include "base/check.h"

namespace lora::data {

Tensor area_mean(const Tensor& plane, int64_t height, int64_t width) {
    const int64_t rows = plane.shape()[0];
    const int64_t columns = plane.shape()[1];
    LORA_CHECK(plane.dtype() == DType::kF32 && rows > 0 && columns > 0 && height > 0 && width > 0);
    const std::span<const float> src = plane.data<float>();
    Tensor result(DType::kF32, {height, width});
    const std::span<float> dst = result.data<float>();
    for (int64_t y = 0; y < height; ++y) {
        const int64_t top = y * rows / height;
        const int64_t bottom = ((y + 1) * rows + height - 1) / height;
        for (int64_t x = 0; x < width; ++x) {
            const int64_t left = x * columns / width;
            const int64_t right = ((x + 1) * columns + width - 1) / width;
            double sum = 0;
            for (int64_t row = top; row < bottom; ++row) {
                for (int64_t column = left; column < right; ++column) {
                    sum += static_cast<double>(src[static_cast<size_t>(row * columns + column)]);
                }
            }
            const auto count = static_cast<double>((bottom - top) * (right - left));
            dst[static_cast<size_t>(y * width + x)] = static_cast<float>(sum / count);
        }
    }
    return result;
}

Tensor to_loss_mask(const io::Image& image, int64_t height, int64_t width) {
    Tensor plane(DType::kF32, {image.height_px, image.width_px});
    const std::span<float> values = plane.data<float>();
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(image.rgb[3 * i]) / 255.0F;
    }
    return area_mean(plane, height, width);
}

Tensor flip_plane(const Tensor& plane) {
    Tensor result(DType::kF32, plane.shape());
    const auto width = static_cast<std::ptrdiff_t>(plane.shape()[1]);
    const std::span<const float> src = plane.data<float>();
    const std::span<float> dst = result.data<float>();
    for (std::ptrdiff_t at = 0; at < std::ssize(src); at += width) {
        std::reverse_copy(src.begin() + at, src.begin() + at + width, dst.begin() + at);
    }
    return result;
}

}  // namespace lora::data
