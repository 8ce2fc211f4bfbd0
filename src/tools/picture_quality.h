// What can be measured of a picture without any model: how good the file is, and numbers that tell
// one way of drawing from another. None of it sees what is drawn: wrong anatomy, a bad pose, an
// ugly face, a watermark are not noticed; film grain and fine textures count as noise, soft focus
// as lack of sharpness.
// Not here: findings about folders (data_check.h).
// Threads  pure.
// Source   sharpness: Crete et al. 2007, "The blur effect"; noise: the mask of Immerkaer 1996,
//          "Fast noise variance estimation", with the median in place of the mean; blocks: steps at
//          every eighth pixel against the others, after Wang, Sheikh and Bovik 2002.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "io/image_codec.h"

namespace lora::tools {

struct PictureQuality {
    // Measured on the picture at about 512 pixels.
    double blur = 0;    // the blur effect, 0 (sharp) to 1
    double spread = 0;  // standard deviation of the grey levels
    // Parts from 0 (bad) to 1 (nothing wrong).
    double sharpness = 1;
    double noise = 1;     // 1: none
    double blocks = 1;    // 1: no steps at the borders of JPEG's blocks of 8 x 8
    double contrast = 1;  // between the darkest and the brightest hundredth
    double size = 1;      // against the size that is trained
    double figure = 1;    // of what lies on a plain ground: 1 from a quarter of the picture on
    // 0 to 100: the parts multiplied, so that one bad part is not made up for by others.
    [[nodiscard]] double score() const {
        return 100 * sharpness * noise * blocks * contrast * size * figure;
    }
};

// Grey values from 0 to 255, row-major.
struct GreyPicture {
    int64_t height_px = 0;
    int64_t width_px = 0;
    std::vector<float> value = {};
};
[[nodiscard]] GreyPicture grey_picture(const io::Image& image);

// `trained_px`: side of the square that is trained, such as 512.
[[nodiscard]] PictureQuality judge_quality(const io::Image& image, int64_t trained_px);

// Numbers that differ between ways of drawing, of the picture at about 256 pixels.
struct StyleNumbers {
    static constexpr size_t kCount = 5;
    static constexpr std::array<std::string_view, kCount> kNames = {
        "colour", "flat area", "hard lines", "variety of colours", "fine texture"};
    std::array<double, kCount> value{};
};
[[nodiscard]] StyleNumbers style_numbers(const io::Image& image);

// How far one picture's numbers lie from the others': in each, the distance from the median of all,
// in units of the usual distance.
struct StyleDistance {
    size_t picture = 0;
    std::array<double, StyleNumbers::kCount> apart{};  // with sign
};
// Pictures that differ strongly in two numbers or more; none below eight pictures.
[[nodiscard]] std::vector<StyleDistance> style_outliers(const std::vector<StyleNumbers>& pictures);

}  // namespace lora::tools
