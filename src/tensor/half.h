// float16 and bfloat16 as bit patterns, with conversions rounded to nearest even. Without jumps
// where loops over weights call them, so that compilers use vector instructions.
#pragma once

#include <bit>
#include <cstdint>

namespace lora {

[[nodiscard]] constexpr float bf16_to_float(uint16_t bits) {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

[[nodiscard]] constexpr uint16_t float_to_bf16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t nan = (bits >> 16) | 0x40U;
    const uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    return static_cast<uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded);
}

[[nodiscard]] constexpr float f16_to_float(uint16_t bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7FFFU) << 13;
    // The exponent's bias is 112 less than float's; the product is exact, subnormals included.
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
    const uint32_t special = magnitude >= 0x0F800000U ? 0x7F800000U : 0U;  // infinite or NaN
    return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | sign);
}

[[nodiscard]] constexpr uint16_t float_to_f16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000U;
    const uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);
    if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);
    if (magnitude < 0x38800000U) {
        // Subnormal: adding 0.5 puts the mantissa's last bit at 2^-24, rounded by the addition.
        const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
        return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000U));
    }
    const uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
    return static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

}  // namespace lora
