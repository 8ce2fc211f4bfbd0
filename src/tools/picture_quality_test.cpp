// Each part of the quality answers to its own defect, and to it alone; other drawings stand out.
#include "tools/picture_quality.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "data/image_transform.h"

namespace lora::tools {
namespace {

uint8_t level(double value) {
    return static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

// Shaded areas with sharp borders: a drawing without defects.
io::Image drawing(uint64_t seed, int64_t side = 512) {
    Rng rng(seed);
    io::Image small{6, 6, {}};
    for (int i = 0; i < 3 * 36; ++i) small.rgb.push_back(static_cast<uint8_t>(rng.below(256)));
    io::Image out{side, side, {}};
    for (int64_t y = 0; y < side; ++y) {
        for (int64_t x = 0; x < side; ++x) {
            // Borders at slants, so that they share no column.
            const int64_t row = (y * 6 + x) / side % 6;
            const int64_t column = (x * 6 + y) / side % 6;
            for (size_t c = 0; c < 3; ++c) {
                const double base = small.rgb[static_cast<size_t>(3 * (row * 6 + column)) + c];
                const double shade = 20.0 * static_cast<double>(y) / static_cast<double>(side);
                out.rgb.push_back(level(base * 0.9 + shade));
            }
        }
    }
    return out;
}

io::Image noisy(io::Image image, float deviation) {
    Rng rng(7);
    for (uint8_t& value : image.rgb) value = level(value + deviation * rng.normal());
    return image;
}

// Each block of 8 x 8 halfway to its mean, as JPEG leaves little of a block at low quality.
io::Image blocky(io::Image image, int64_t offset) {
    const auto at = [&](int64_t y, int64_t x, size_t c) -> uint8_t& {
        return image.rgb[static_cast<size_t>((y * image.width_px + x) * 3) + c];
    };
    for (int64_t top = offset; top + 8 <= image.height_px; top += 8) {
        for (int64_t left = offset; left + 8 <= image.width_px; left += 8) {
            for (size_t c = 0; c < 3; ++c) {
                double sum = 0;
                for (int64_t k = 0; k < 64; ++k) sum += at(top + k / 8, left + k % 8, c);
                for (int64_t k = 0; k < 64; ++k) {
                    uint8_t& value = at(top + k / 8, left + k % 8, c);
                    value = level(0.2 * value + 0.8 * sum / 64);
                }
            }
        }
    }
    return image;
}

io::Image blurred(const io::Image& image, int64_t factor) {
    const data::ImageSize small{image.width_px / factor, image.height_px / factor};
    return data::resize(data::resize(image, small), {image.width_px, image.height_px});
}

// A photograph's shading: soft everywhere, nothing flat.
io::Image shaded(uint64_t seed) {
    io::Image out = blurred(drawing(seed, 256), 16);
    return noisy(std::move(out), 12);
}

TEST(PictureQuality, AGoodDrawingLosesNothing) {
    for (uint64_t seed = 1; seed < 6; ++seed) {
        const PictureQuality quality = judge_quality(drawing(seed), 512);
        EXPECT_GT(quality.score(), 90) << seed;
    }
}

TEST(PictureQuality, EachDefectLowersItsPart) {
    const io::Image good = drawing(3);
    const PictureQuality blur = judge_quality(blurred(good, 16), 512);
    EXPECT_LT(blur.sharpness, 0.4);
    EXPECT_GT(blur.noise, 0.9);
    const PictureQuality noise = judge_quality(noisy(good, 20), 512);
    EXPECT_LT(noise.noise, 0.5);
    EXPECT_GT(noise.blocks, 0.9);
    EXPECT_GT(noise.size, 0.99);
    io::Image grey = good;
    for (uint8_t& value : grey.rgb) value = static_cast<uint8_t>(120 + value / 16);
    EXPECT_LT(judge_quality(grey, 512).contrast, 0.2);
    const PictureQuality small = judge_quality(drawing(3, 128), 512);
    EXPECT_NEAR(small.size, 0.25, 1e-6);
    EXPECT_NEAR(judge_quality(drawing(3, 128), 128).size, 1, 1e-6);
}

TEST(PictureQuality, BlocksAreFoundWhereverTheGridBegins) {
    const io::Image soft = noisy(blurred(drawing(4), 8), 3);
    EXPECT_GT(judge_quality(soft, 512).blocks, 0.9);
    for (const int64_t offset : {0, 3}) {
        EXPECT_LT(judge_quality(blocky(soft, offset), 512).blocks, 0.8) << offset;
    }
}

TEST(PictureQuality, NoiseIsMeasuredInGreyLevels) {
    // Of three channels with noise of 10 the grey has 10 * sqrt(0.299^2 + 0.587^2 + 0.114^2)
    // = 6.68.
    const io::Image flat{256, 256, std::vector<uint8_t>(256 * 256 * 3, 128)};
    EXPECT_NEAR(style_numbers(noisy(flat, 10)).value[4], 6.68, 0.4);
    EXPECT_EQ(style_numbers(flat).value[4], 0);
}

TEST(PictureQuality, ASmallFigureOnPlainGround) {
    io::Image image{400, 400, std::vector<uint8_t>(400 * 400 * 3, 255)};
    for (int64_t y = 150; y < 210; ++y) {
        for (int64_t x = 150; x < 230; ++x) {
            for (int64_t c = 0; c < 3; ++c) {
                image.rgb[static_cast<size_t>((y * 400 + x) * 3 + c)] = 0;
            }
        }
    }
    EXPECT_NEAR(judge_quality(image, 400).figure, 60.0 * 80 / (400 * 400) / 0.25, 1e-6);
    EXPECT_EQ(judge_quality(drawing(5), 512).figure, 1);
}

TEST(PictureQuality, TinyPicturesAreJudgedToo) {
    for (const int64_t side : {1, 2, 3, 9}) {
        const PictureQuality quality = judge_quality(drawing(1, side), 512);
        EXPECT_GE(quality.score(), 0) << side;
        EXPECT_TRUE(std::isfinite(quality.score())) << side;
        for (const double value : style_numbers(drawing(1, side)).value) {
            EXPECT_TRUE(std::isfinite(value)) << side;
        }
    }
}

TEST(StyleOutliers, APhotographAmongDrawings) {
    std::vector<StyleNumbers> numbers;
    for (uint64_t seed = 1; seed <= 10; ++seed)
        numbers.push_back(style_numbers(drawing(seed, 256)));
    EXPECT_TRUE(style_outliers(numbers).empty());
    numbers.insert(numbers.begin() + 4, style_numbers(shaded(20)));
    const auto found = style_outliers(numbers);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().picture, 4U);
    EXPECT_LT(found.front().apart[1], -4);  // flat area
    EXPECT_GT(found.front().apart[4], 4);   // texture
    numbers.resize(7);
    EXPECT_TRUE(style_outliers(numbers).empty()) << "too few to say what is usual";
}

}  // namespace
}  // namespace lora::tools
