// The SHA-256 compression function, plain and with the processor's SHA instructions.
// Source: FIPS 180-4, section 6.2.2.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lora::detail {

// Both take `count` blocks of 64 bytes at `data`.
void sha256_blocks_portable(std::array<uint32_t, 8>& state, const std::byte* data, size_t count);
void sha256_blocks_hardware(std::array<uint32_t, 8>& state, const std::byte* data, size_t count);
// Whether this processor may run the second.
[[nodiscard]] bool sha256_hardware_available();

}  // namespace lora::detail
