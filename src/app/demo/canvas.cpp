#include "app/demo/canvas.h"

#include <algorithm>
#include <cstdlib>

#include "app/demo/bitmap_font.h"
#include "base/check.h"

namespace lora::app {

Canvas::Canvas(int64_t width_px, int64_t height_px, Colour background) {
    LORA_CHECK(width_px > 0 && height_px > 0);
    image_.width_px = width_px;
    image_.height_px = height_px;
    image_.rgb.resize(static_cast<size_t>(width_px * height_px) * 3);
    fill({0, 0, width_px, height_px}, background);
}

void Canvas::set(int64_t x, int64_t y, Colour colour) {
    if (x < 0 || y < 0 || x >= image_.width_px || y >= image_.height_px) return;
    const auto at = static_cast<size_t>(y * image_.width_px + x) * 3;
    std::copy(colour.begin(), colour.end(), image_.rgb.begin() + static_cast<std::ptrdiff_t>(at));
}

void Canvas::fill(const Rect& rect, Colour colour) {
    for (int64_t y = rect.y; y < rect.y + rect.height; ++y) {
        for (int64_t x = rect.x; x < rect.x + rect.width; ++x) set(x, y, colour);
    }
}

void Canvas::line(Point from, Point to, Colour colour, int64_t thickness) {
    const int64_t dx = to.x - from.x;
    const int64_t dy = to.y - from.y;
    const int64_t steps = std::max<int64_t>({std::abs(dx), std::abs(dy), 1});
    for (int64_t i = 0; i <= steps; ++i) {
        // Rounded to the nearest pixel, also for negative directions.
        const int64_t x = from.x + (2 * dx * i + (dx >= 0 ? steps : -steps)) / (2 * steps);
        const int64_t y = from.y + (2 * dy * i + (dy >= 0 ? steps : -steps)) / (2 * steps);
        fill({x - (thickness - 1) / 2, y - (thickness - 1) / 2, thickness, thickness}, colour);
    }
}

void Canvas::picture(Point at, const io::Image& image) {
    for (int64_t y = 0; y < image.height_px; ++y) {
        for (int64_t x = 0; x < image.width_px; ++x) {
            const auto src = static_cast<size_t>(y * image.width_px + x) * 3;
            set(at.x + x, at.y + y, {image.rgb[src], image.rgb[src + 1], image.rgb[src + 2]});
        }
    }
}

void Canvas::text(Point at, std::string_view words, Colour colour, int64_t scale) {
    for (const char letter : words) {
        const auto& rows = glyph(letter);
        for (int64_t y = 0; y < 7; ++y) {
            for (int64_t x = 0; x < 5; ++x) {
                const bool is_set = ((rows[static_cast<size_t>(y)] >> (4 - x)) & 1) != 0;
                if (is_set) fill({at.x + x * scale, at.y + y * scale, scale, scale}, colour);
            }
        }
        at.x += kLetterWidth * scale;
    }
}

}  // namespace lora::app
