#include "train/internal/tiles.h"

#include <algorithm>

#include "base/check.h"

namespace lora::train {
namespace {

// Rows and columns [y, y + height) x [x, x + width) of every plane.
Tensor cut(const TensorView& input, int64_t y, int64_t x, int64_t height, int64_t width) {
    const Shape& all = input.shape;
    Tensor part(DType::kF32, {all[0], all[1], height, width});
    const auto* source = reinterpret_cast<const float*>(input.bytes.data());
    float* target = part.data<float>().data();
    for (int64_t plane = 0; plane < all[0] * all[1]; ++plane) {
        for (int64_t row = 0; row < height; ++row) {
            const float* first = source + ((plane * all[2] + y + row) * all[3] + x);
            target = std::copy_n(first, width, target);
        }
    }
    return part;
}

// Weights of a tile's elements along an axis: 1 in the middle, a ramp over `overlap` at an edge
// that lies inside the picture.
std::vector<float> ramp(int64_t start, int64_t size, int64_t length, int64_t overlap) {
    std::vector<float> weights(static_cast<size_t>(size), 1.0F);
    if (overlap <= 0) return weights;
    for (int64_t i = 0; i < std::min(overlap, size); ++i) {
        const float height = (static_cast<float>(i) + 0.5F) / static_cast<float>(overlap);
        if (start > 0) weights[static_cast<size_t>(i)] *= height;
        if (start + size < length) weights[static_cast<size_t>(size - 1 - i)] *= height;
    }
    return weights;
}

// Sums of weighted tiles, and of their weights.
class Blend {
public:
    Blend(const Shape& shape, int64_t overlap)
        : sum_(DType::kF32, shape),
          weight_(static_cast<size_t>(shape[2] * shape[3])),
          overlap_(overlap) {}

    void add(const Tensor& tile, int64_t y, int64_t x) {
        const Shape& part = tile.shape();
        const Shape& all = sum_.shape();
        LORA_CHECK(part[0] == all[0] && part[1] == all[1] && y + part[2] <= all[2] &&
                   x + part[3] <= all[3]);
        const std::vector<float> rows = ramp(y, part[2], all[2], overlap_);
        const std::vector<float> columns = ramp(x, part[3], all[3], overlap_);
        const float* source = tile.data<float>().data();
        const std::span<float> sum = sum_.data<float>();
        for (int64_t plane = 0; plane < part[0] * part[1]; ++plane) {
            for (int64_t row = 0; row < part[2]; ++row) {
                const auto at = static_cast<size_t>((plane * all[2] + y + row) * all[3] + x);
                for (size_t i = 0; i < columns.size(); ++i) {
                    const float weight = rows[static_cast<size_t>(row)] * columns[i];
                    sum[at + i] += weight * *source++;
                }
            }
        }
        for (size_t row = 0; row < rows.size(); ++row) {
            const size_t at = (static_cast<size_t>(y) + row) * static_cast<size_t>(all[3]) +
                              static_cast<size_t>(x);
            for (size_t i = 0; i < columns.size(); ++i) weight_[at + i] += rows[row] * columns[i];
        }
    }

    Tensor take() {
        const std::span<float> sum = sum_.data<float>();
        for (size_t i = 0; i < sum.size(); ++i) sum[i] /= weight_[i % weight_.size()];
        return std::move(sum_);
    }

private:
    Tensor sum_;
    std::vector<float> weight_;  // of one plane
    int64_t overlap_;
};

}  // namespace

std::vector<int64_t> tile_starts(int64_t length, int64_t tile, int64_t overlap) {
    LORA_CHECK(tile > overlap && overlap >= 0);
    std::vector<int64_t> starts = {0};
    while (starts.back() + tile < length) {
        starts.push_back(std::min(starts.back() + tile - overlap, length - tile));
    }
    return starts;
}

std::vector<Tensor> run_in_tiles(const TensorView& input,
                                 const TileLayout& layout,
                                 const TileWork& work) {
    const int64_t height = input.shape[2];
    const int64_t width = input.shape[3];
    const auto scaled = [&](int64_t length) {
        LORA_CHECK(length % layout.in_per == 0);
        return length / layout.in_per * layout.out_per;
    };
    std::vector<Blend> blends;
    for (const int64_t y : tile_starts(height, layout.tile, layout.overlap)) {
        for (const int64_t x : tile_starts(width, layout.tile, layout.overlap)) {
            const std::vector<Tensor> results =
                work(cut(input, y, x, std::min(layout.tile, height), std::min(layout.tile, width)));
            for (size_t i = 0; i < results.size(); ++i) {
                if (blends.size() <= i) {
                    const Shape& part = results[i].shape();
                    blends.emplace_back(Shape{part[0], part[1], scaled(height), scaled(width)},
                                        scaled(layout.overlap));
                }
                blends[i].add(results[i], scaled(y), scaled(x));
            }
        }
    }
    std::vector<Tensor> whole;
    whole.reserve(blends.size());
    for (Blend& blend : blends) whole.push_back(blend.take());
    return whole;
}

}  // namespace lora::train
