#include "data/image_transform.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace lora::data {
namespace {

// Deterministic pixels; the expected values below were computed from the same formula in Python:
// box averages in exact fractions, Lanczos in double with an 8-bit picture between the passes.
io::Image pattern(int64_t width, int64_t height) {
    io::Image image;
    image.width_px = width;
    image.height_px = height;
    for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
            for (int64_t c = 0; c < 3; ++c) {
                image.rgb.push_back(
                    static_cast<uint8_t>((x * 37 + y * 91 + c * 53 + x * y * 7) % 256));
            }
        }
    }
    return image;
}

std::vector<int> values(const io::Image& image) { return {image.rgb.begin(), image.rgb.end()}; }

TEST(ImageTransform, AreaAveragesWhenShrinking) {
    EXPECT_EQ(values(resize(pattern(7, 5), {3, 2})),
              (std::vector<int>{96,
                                127,
                                143,
                                120,
                                129,
                                153,
                                144,
                                132,
                                119,
                                122,
                                138,
                                125,
                                140,
                                135,
                                144,
                                159,
                                132,
                                119}));
    EXPECT_EQ(values(resize(pattern(6, 4), {3, 2})),
              (std::vector<int>{66,
                                119,
                                172,
                                147,
                                136,
                                125,
                                100,
                                153,
                                142,
                                127,
                                116,
                                105,
                                108,
                                161,
                                150,
                                153,
                                142,
                                131}));
    EXPECT_EQ(values(resize(pattern(5, 3), {5, 2})),
              (std::vector<int>{30,  83,  136, 70,  123, 176, 109, 162, 130, 148,
                                116, 169, 102, 155, 208, 152, 205, 87,  200, 83,
                                136, 78,  131, 99,  127, 95,  148, 90,  143, 196}));
}

TEST(ImageTransform, LanczosWhenAnySideGrows) {
    EXPECT_EQ(values(resize(pattern(4, 3), {7, 5})),
              (std::vector<int>{
                  0,   44,  89,  3,   53,  97,  27,  72,  123, 44,  87,  164, 60,  116, 204,
                  85,  164, 230, 97,  189, 238, 20,  68,  146, 28,  89,  171, 55,  132, 193,
                  92,  178, 156, 128, 173, 119, 156, 128, 140, 165, 98,  165, 87,  140, 185,
                  101, 151, 227, 131, 181, 247, 157, 247, 135, 183, 220, 23,  213, 85,  43,
                  227, 0,   85,  151, 226, 88,  186, 174, 116, 213, 97,  145, 150, 108, 115,
                  86,  141, 84,  113, 104, 113, 148, 74,  141, 175, 255, 8,   223, 170, 21,
                  246, 24,  56,  125, 0,   107, 2,   72,  157, 25,  131, 192, 74,  156, 205}));
    EXPECT_EQ(values(resize(pattern(9, 4), {5, 6})),
              (std::vector<int>{9,   56,  104, 64,  124, 213, 167, 242, 209, 193, 89,  33,  5,
                                41,  134, 42,  122, 182, 148, 154, 134, 112, 123, 146, 121, 125,
                                145, 104, 147, 130, 136, 189, 201, 193, 142, 70,  63,  51,  108,
                                86,  147, 210, 167, 221, 147, 214, 152, 63,  84,  65,  139, 111,
                                191, 176, 181, 105, 75,  61,  113, 175, 121, 105, 94,  102, 136,
                                172, 173, 168, 139, 146, 127, 103, 122, 91,  104, 20,  88,  180,
                                168, 225, 163, 197, 83,  77,  73,  163, 188, 221, 127, 37}));
}

TEST(ImageTransform, SameSizeIsLeftAlone) {
    EXPECT_EQ(resize(pattern(5, 4), {5, 4}).rgb, pattern(5, 4).rgb);
}

TEST(ImageTransform, ShrunkNeverGrows) {
    const auto size_of = [](int64_t width, int64_t height) {
        io::Image grey;
        grey.width_px = width;
        grey.height_px = height;
        grey.rgb.assign(static_cast<size_t>(width * height * 3), 90);
        const io::Image small = shrunk(grey, 30);
        return ImageSize{small.width_px, small.height_px};
    };
    EXPECT_EQ(size_of(60, 40), (ImageSize{30, 20}));
    EXPECT_EQ(size_of(40, 61), (ImageSize{19, 30}));
    EXPECT_EQ(size_of(300, 2), (ImageSize{30, 1}));
    EXPECT_EQ(size_of(30, 7), (ImageSize{30, 7}));
}

TEST(ImageTransform, FlatPicturesStayFlat) {
    io::Image flat = pattern(37, 23);
    std::fill(flat.rgb.begin(), flat.rgb.end(), uint8_t{137});
    for (const ImageSize size :
         {ImageSize{11, 7}, ImageSize{80, 50}, ImageSize{80, 7}, ImageSize{1, 1}}) {
        for (const uint8_t v : resize(flat, size).rgb) ASSERT_EQ(v, 137) << to_string(size);
    }
}

TEST(ImageTransform, CropAndFlip) {
    const io::Image image = pattern(5, 4);
    const io::Image part = crop(image, 2, 1, {2, 3});
    EXPECT_EQ(part.rgb[0], image.rgb[(1 * 5 + 2) * 3]);
    EXPECT_EQ(part.rgb[3 * 3], image.rgb[(2 * 5 + 3) * 3]);
    const io::Image flipped = flip_horizontal(image);
    EXPECT_EQ(flipped.rgb[1], image.rgb[4 * 3 + 1]);
    EXPECT_EQ(flip_horizontal(flipped).rgb, image.rgb);
}

TEST(ImageTransform, FitsTheBucket) {
    const BucketChoice choice = {.bucket = {4, 4}, .resized = {6, 4}, .crop_left_px = 1};
    const io::Image fitted = fit_to_bucket(pattern(12, 8), choice);
    EXPECT_EQ(fitted.width_px, 4);
    EXPECT_EQ(fitted.height_px, 4);
    EXPECT_EQ(fitted.rgb[0], resize(pattern(12, 8), {6, 4}).rgb[3]);
}

TEST(ImageTransform, TensorIsChannelFirstFromMinusOneToOne) {
    io::Image image = pattern(2, 1);
    image.rgb = {0, 255, 51, 102, 0, 255};
    const Tensor tensor = to_pixel_tensor(image);
    EXPECT_EQ(tensor.shape(), (Shape{3, 1, 2}));
    const auto v = tensor.data<float>();
    EXPECT_FLOAT_EQ(v[0], -1.0F);
    EXPECT_FLOAT_EQ(v[1], -0.2F);
    EXPECT_FLOAT_EQ(v[2], 1.0F);
    EXPECT_FLOAT_EQ(v[3], -1.0F);
    EXPECT_FLOAT_EQ(v[4], -0.6F);
    EXPECT_FLOAT_EQ(v[5], 1.0F);
}

}  // namespace
}  // namespace lora::data
