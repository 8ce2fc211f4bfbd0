#include "data/loss_mask.h"

#include <gtest/gtest.h>

namespace lora::data {
namespace {

std::vector<float> values(const Tensor& tensor) {
    const std::span<const float> data = tensor.data<float>();
    return {data.begin(), data.end()};
}

TEST(LossMask, MeansOfWholeCells) {
    const Tensor plane = Tensor::from_floats({2, 4}, std::vector<float>{1, 0, 0, 1, 1, 1, 0, 0});
    EXPECT_EQ(values(area_mean(plane, 1, 2)), (std::vector<float>{0.75F, 0.25F}));
    EXPECT_EQ(values(area_mean(plane, 2, 4)), values(plane));
}

// Cells that do not divide overlap: 3 columns on 2 are 0..2 and 1..3.
TEST(LossMask, CellsThatDoNotDivideOverlap) {
    const Tensor plane = Tensor::from_floats({1, 3}, std::vector<float>{0, 1, 0});
    EXPECT_EQ(values(area_mean(plane, 1, 2)), (std::vector<float>{0.5F, 0.5F}));
    const Tensor wide = Tensor::from_floats({1, 5}, std::vector<float>{3, 0, 0, 0, 6});
    EXPECT_EQ(values(area_mean(wide, 1, 3)), (std::vector<float>{1.5F, 0, 3}));
}

TEST(LossMask, IsTheRedChannel) {
    const io::Image image{1, 2, {255, 0, 0, 51, 255, 255}};
    EXPECT_EQ(values(to_loss_mask(image, 1, 2)), (std::vector<float>{1, 0.2F}));
    EXPECT_EQ(values(flip_plane(to_loss_mask(image, 1, 2))), (std::vector<float>{0.2F, 1}));
}

}  // namespace
}  // namespace lora::data
