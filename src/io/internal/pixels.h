// Decoded pixels before orientation and alpha are dealt with, and the decoders that make them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lora::io {

struct Pixels {
    int64_t height_px = 0;
    int64_t width_px = 0;
    int num_channels = 3;  // grey, grey and alpha, RGB, RGBA
    std::vector<uint8_t> data;
};

// JPEG, PNG, BMP. Errors  Error{kData} with the decoder's reason.
[[nodiscard]] Pixels decode_with_stb(std::span<const std::byte> bytes);
[[nodiscard]] Pixels decode_webp(std::span<const std::byte> bytes);
// Undoes zlib compression, into at most max_bytes; empty when the data is broken or larger.
[[nodiscard]] std::vector<std::byte> inflate_zlib(std::span<const std::byte> bytes,
                                                  size_t max_bytes);

}  // namespace lora::io
