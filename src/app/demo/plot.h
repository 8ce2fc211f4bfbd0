// The loss curve as a picture: one thin line a step, a smooth one over it, axes with numbers.
#pragma once

#include <span>
#include <string_view>

#include "io/image_codec.h"

namespace lora::app {

// losses[i] belongs to step i + 1; values that are not finite are left out. Any number of steps.
[[nodiscard]] io::Image draw_loss_curve(std::span<const double> losses, std::string_view title);

// Steps of a round size so that `range` has about `count` of them: 1, 2 or 5 times a power of ten.
[[nodiscard]] double round_step(double range, int count);

}  // namespace lora::app
