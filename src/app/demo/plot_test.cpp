#include "app/demo/plot.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "app/demo/canvas.h"

namespace lora::app {
namespace {

int64_t count_colour(const io::Image& image, Colour colour) {
    int64_t count = 0;
    for (size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
        const bool same = image.rgb[i] == colour[0] && image.rgb[i + 1] == colour[1] &&
                          image.rgb[i + 2] == colour[2];
        count += same ? 1 : 0;
    }
    return count;
}

TEST(Plot, RoundStepsAreOneTwoOrFive) {
    EXPECT_DOUBLE_EQ(round_step(100, 5), 20);
    EXPECT_DOUBLE_EQ(round_step(0.25, 5), 0.05);
    EXPECT_DOUBLE_EQ(round_step(7, 6), 2);
    EXPECT_DOUBLE_EQ(round_step(0, 6), 1);
}

TEST(Plot, DrawsAnyNumberOfLosses) {
    for (const size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{5000}}) {
        const std::vector<double> losses(count, 0.2);
        const io::Image image = draw_loss_curve(losses, "title");
        EXPECT_GT(count_colour(image, kInk), 500);
        EXPECT_EQ(count_colour(image, {30, 90, 170}) > 0, count > 1) << count;
    }
}

TEST(Plot, NumbersThatAreNotFiniteAreLeftOut) {
    const double inf = std::numeric_limits<double>::infinity();
    const io::Image image = draw_loss_curve(std::vector<double>{0.3, inf, NAN, 0.1}, "x");
    EXPECT_GT(count_colour(image, {30, 90, 170}), 10);
}

TEST(Canvas, WhatLiesOutsideIsCutOff) {
    Canvas canvas(4, 3);
    canvas.fill({-5, -5, 7, 6}, kInk);
    canvas.line({-10, 2}, {20, 2}, kInk);
    EXPECT_EQ(count_colour(canvas.image(), kInk), 2 * 1 + 4);
    canvas.text({100, 100}, "abc");
    EXPECT_EQ(count_colour(canvas.image(), kInk), 6);
}

TEST(Canvas, EveryLetterHasItsOwnForm) {
    std::vector<std::vector<uint8_t>> seen;
    for (char letter = '!'; letter <= '~'; ++letter) {
        Canvas canvas(kLetterWidth, kLetterHeight);
        canvas.text({0, 0}, std::string_view(&letter, 1));
        for (const auto& other : seen) EXPECT_NE(other, canvas.image().rgb) << letter;
        seen.push_back(canvas.image().rgb);
    }
}

}  // namespace
}  // namespace lora::app
