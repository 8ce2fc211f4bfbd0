// Paints over a part of a picture with what surrounds it: text, marks, signatures on plain or
// shaded ground. Not for structure: patterns are not continued.
// Shapes   pictures are 8-bit RGB; the mask has the picture's size.
// Threads  pure. Source: the harmonic (Laplace) membrane with the surroundings as its rim.
#pragma once

#include "tools/region.h"

namespace lora::tools {

// Every place of the mask from 128 up becomes the smooth continuation of the places around.
// Errors  kData: nothing is left around the mask.
[[nodiscard]] io::Image filled(const io::Image& image, const Mask& mask);
// The same places in one colour.
[[nodiscard]] io::Image painted(const io::Image& image, const Mask& mask, Colour colour);

// How uneven the ring around the mask is, in grey levels: the spread of the steps between
// neighbours. Flat or shaded ground is near 0, a pattern above 12.
[[nodiscard]] double roughness_around(const io::Image& image, const Mask& mask);

}  // namespace lora::tools
