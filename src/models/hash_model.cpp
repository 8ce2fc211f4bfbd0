#include "models/hash_model.h"

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "tensor/half.h"

namespace lora::models {
namespace {

constexpr uint64_t kGoldenGamma = 0x9E3779B97F4A7C15U;

float uniform_at(uint64_t base, uint64_t index) {
    uint64_t z = base + (index + 1) * kGoldenGamma;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    z ^= z >> 31;
    return static_cast<float>(z >> 40) * (2.0F / 16777216.0F) - 1.0F;
}

}  // namespace

void fill_hash_uniform(std::string_view name, int64_t first, std::span<float> dst) {
    const uint64_t base = fnv1a64(name);
    const auto begin = static_cast<uint64_t>(first);
    for (size_t i = 0; i < dst.size(); ++i) dst[i] = uniform_at(base, begin + i);
}

Tensor hash_tensor(std::string_view name, const Shape& shape, float scale) {
    Tensor tensor(DType::kF32, shape);
    const std::span<float> values = tensor.data<float>();
    fill_hash_uniform(name, 0, values);
    for (float& value : values) value *= scale;
    return tensor;
}

Tensor hash_weight(std::string_view name, const Shape& shape) {
    float scale = 0.05F;
    float offset = 0;
    if (shape.num_axes() >= 2) {
        const int64_t fan_in = shape.num_elements() / shape[0];
        scale = static_cast<float>(std::sqrt(3.0 / static_cast<double>(fan_in)));
    } else if (name.ends_with(".weight")) {
        scale = 0.1F;
        offset = 1.0F;
    }
    Tensor tensor(DType::kF16, shape);
    const std::span<uint16_t> bits = tensor.data<uint16_t>();
    const uint64_t base = fnv1a64(name);
    for (size_t i = 0; i < bits.size(); ++i) {
        const float scaled = scale * uniform_at(base, i);
        bits[i] = float_to_f16(offset + scaled);
    }
    return tensor;
}

}  // namespace lora::models
