#include "data/augment.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

namespace lora::data {
namespace {

// Red tells the column, green the row.
io::Image ramp(int64_t width, int64_t height) {
    io::Image image{height, width, {}};
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            image.rgb.insert(image.rgb.end(),
                             {static_cast<uint8_t>(x), static_cast<uint8_t>(y), 0});
        }
    }
    return image;
}

BucketChoice same_size_choice(ImageSize image, ImageSize bucket) {
    BucketChoice choice;
    choice.bucket = bucket;
    choice.resized = image;
    choice.crop_left_px = (image.width_px - bucket.width_px) / 2;
    choice.crop_top_px = (image.height_px - bucket.height_px) / 2;
    return choice;
}

Rng rng_of(uint32_t slot) { return Rng(5, RngStream::kCrop, 1, slot); }

TEST(Augment, RandomCropReachesEveryOffsetAndStaysInside) {
    const io::Image image = ramp(12, 8);
    Draw draw;
    draw.options.random_crop = true;
    draw.choice = same_size_choice({12, 8}, {8, 8});
    std::map<int, int> lefts;
    for (uint32_t slot = 0; slot < 500; ++slot) {
        Rng rng = rng_of(slot);
        const io::Image out = draw_picture(image, draw, rng);
        ASSERT_EQ(out.width_px, 8);
        ASSERT_EQ(out.height_px, 8);
        EXPECT_EQ(out.rgb[1], 0);
        ++lefts[out.rgb[0]];
    }
    ASSERT_EQ(lefts.size(), 5U);
    EXPECT_EQ(lefts.begin()->first, 0);
    EXPECT_EQ(lefts.rbegin()->first, 4);
    for (const auto& [left, count] : lefts) EXPECT_GT(count, 60) << left;
}

TEST(Augment, WithoutItTheMiddleIsTaken) {
    Draw draw;
    draw.choice = same_size_choice({12, 8}, {8, 8});
    Rng rng = rng_of(1);
    EXPECT_EQ(draw_picture(ramp(12, 8), draw, rng).rgb[0], 2);
    draw.flipped = true;
    EXPECT_EQ(draw_picture(ramp(12, 8), draw, rng).rgb[0], 9);
}

TEST(Augment, OneDrawDependsOnItsKeyAlone) {
    Draw draw;
    draw.options = {.color_aug = true, .random_crop = true};
    draw.choice = same_size_choice({40, 30}, {24, 24});
    Rng first = rng_of(7);
    Rng again = rng_of(7);
    EXPECT_EQ(draw_picture(ramp(40, 30), draw, first).rgb,
              draw_picture(ramp(40, 30), draw, again).rgb);
}

// One draw in three changes colours, half of those by hue.
TEST(Augment, ColoursChangeOneTimeInThree) {
    io::Image image{1, 1, {200, 100, 50}};
    Draw draw;
    draw.options.color_aug = true;
    draw.choice = same_size_choice({1, 1}, {1, 1});
    int changed = 0;
    for (uint32_t slot = 0; slot < 1000; ++slot) {
        Rng rng = rng_of(slot);
        changed += draw_picture(image, draw, rng).rgb != image.rgb ? 1 : 0;
    }
    EXPECT_GT(changed, 250);
    EXPECT_LT(changed, 400);
}

TEST(Augment, HueTurnsAndGammaBends) {
    const io::Image red{1, 1, {255, 0, 0}};
    EXPECT_EQ(shift_hue(red, 60).rgb, (std::vector<uint8_t>{0, 255, 0}));
    EXPECT_EQ(shift_hue(red, -60).rgb, (std::vector<uint8_t>{0, 0, 255}));
    EXPECT_EQ(shift_hue(red, 15).rgb, (std::vector<uint8_t>{255, 128, 0}));
    const io::Image grey{1, 1, {77, 77, 77}};
    EXPECT_EQ(shift_hue(grey, 8).rgb, grey.rgb);
    EXPECT_EQ(apply_gamma(grey, 1.0).rgb, grey.rgb);
    // 77^1.05 = 95.67, 77^0.95 = 61.97
    EXPECT_EQ(apply_gamma(grey, 1.05).rgb[0], 95);
    EXPECT_EQ(apply_gamma(grey, 0.95).rgb[0], 61);
    EXPECT_EQ(apply_gamma({1, 1, {255, 255, 255}}, 1.05).rgb[0], 255);
}

TEST(Augment, FacesAreReadFromTheName) {
    const auto face = face_of_name("d/my_cat_100_120_40_50.png");
    ASSERT_TRUE(face);
    EXPECT_EQ(face->x_px, 100);
    EXPECT_EQ(face->height_px, 50);
    EXPECT_FALSE(face_of_name("100_120_40_50.png"));
    EXPECT_FALSE(face_of_name("cat_1_2_3.png"));
    EXPECT_FALSE(face_of_name("cat_1_2_0_4.png"));
    EXPECT_FALSE(face_of_name("cat_a_2_3_4.png"));
}

// The crop is so many times as long as the face, as the range says, and holds it.
TEST(Augment, FaceCropFillsTheAskedShare) {
    Draw draw;
    draw.options.face_crop_aug_range = FaceCropRange{2, 4};
    draw.choice.bucket = {64, 64};
    draw.face = Face{150, 100, 50, 40};
    const io::Image image = ramp(200, 200);
    for (uint32_t slot = 0; slot < 100; ++slot) {
        Rng rng = rng_of(slot);
        const io::Image out = draw_picture(image, draw, rng);
        ASSERT_EQ(out.width_px, 64);
        // Columns of the original that the crop spans.
        const double span = static_cast<double>(out.rgb[3 * 63]) - static_cast<double>(out.rgb[0]);
        EXPECT_GT(span, 2 * 50 - 6);
        EXPECT_LT(span, 4 * 50 + 6);
        EXPECT_LE(out.rgb[0], 126);
        EXPECT_GE(out.rgb[3 * 63], 173);
    }
}

}  // namespace
}  // namespace lora::data
