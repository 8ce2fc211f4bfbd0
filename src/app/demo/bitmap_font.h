// A 5 x 7 bitmap font for ASCII, drawn for this program.
#pragma once

#include <array>
#include <cstdint>

namespace lora::app {

// Seven rows from the top; bit 4 is the leftmost of five pixels. A box for what it does not have.
[[nodiscard]] const std::array<uint8_t, 7>& glyph(char letter);

}  // namespace lora::app
