// Cyclic redundancy checks of 32 bits, eight bytes at a time.
// Threads  pure. Source: ISO 3309 (zip, PNG); RFC 3720 appendix B.4 (Castagnoli, TensorFlow
// records).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lora {

[[nodiscard]] uint32_t crc32(std::span<const std::byte> bytes);
[[nodiscard]] uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace lora
