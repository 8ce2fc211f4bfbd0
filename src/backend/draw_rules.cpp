#include "backend/draw_rules.h"

#include <cmath>

#include "base/check.h"
#include "base/rng.h"
#include "ir/op.h"

namespace lora::backend {

static_assert(static_cast<uint32_t>(RngStream::kDropout) == kDropoutStream);

DropoutDraws dropout_draws(const ir::Attributes& attrs, const Shape& shape) {
    DropoutDraws draws;
    draws.number = narrow<uint32_t>(attrs.size);
    draws.threshold = narrow<uint32_t>(std::lround(attrs.probability * 0x1p24));
    draws.axes = attrs.draw_axes;
    draws.features = shape[-1];
    draws.middle = shape.num_elements() / ((shape.num_axes() > 1 ? shape[0] : 1) * draws.features);
    return draws;
}

}  // namespace lora::backend
