// Drawing on an 8-bit RGB picture: rectangles, lines, other pictures, text in a small bitmap font.
// For the demo's contact sheet and curve; not for photographs.
// Shapes   x to the right, y down, in pixels; what lies outside is cut off.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "io/image_codec.h"

namespace lora::app {

using Colour = std::array<uint8_t, 3>;

inline constexpr Colour kWhite = {255, 255, 255};
inline constexpr Colour kInk = {30, 30, 36};
inline constexpr Colour kGrey = {205, 205, 210};

struct Point {
    int64_t x = 0;
    int64_t y = 0;
};

struct Rect {
    int64_t x = 0;
    int64_t y = 0;
    int64_t width = 0;
    int64_t height = 0;
};

// One letter in pixels, its gap included.
inline constexpr int64_t kLetterWidth = 6;
inline constexpr int64_t kLetterHeight = 9;

class Canvas {
public:
    Canvas(int64_t width_px, int64_t height_px, Colour background = kWhite);

    void fill(const Rect& rect, Colour colour);
    // `thickness` pixels square at every point of the line.
    void line(Point from, Point to, Colour colour, int64_t thickness = 1);
    void picture(Point at, const io::Image& image);
    // ASCII; other characters show as a box. `scale` 2 doubles the letters.
    void text(Point at, std::string_view words, Colour colour = kInk, int64_t scale = 1);

    [[nodiscard]] const io::Image& image() const { return image_; }

private:
    void set(int64_t x, int64_t y, Colour colour);

    io::Image image_;
};

}  // namespace lora::app
