// What a picture's header says, without decoding: format, size, EXIF orientation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lora::io {

enum class ImageFormat { kJpeg, kPng, kWebp, kBmp };

struct ImageHeader {
    ImageFormat format = ImageFormat::kPng;
    int64_t height_px = 0;
    int64_t width_px = 0;
    int orientation = 1;  // EXIF: 1 upright ... 8; 5 to 8 swap the sides
    // PNG: the pixels' size before compression. 0 when unknown.
    uint64_t raw_bytes = 0;
    // JPEG with four components and no Adobe marker.
    bool is_unmarked_cmyk = false;
};

// Errors  Error{kData}: not a picture of these formats, or its header is broken.
[[nodiscard]] ImageHeader read_image_header(std::span<const std::byte> bytes);

// Per format; the bytes start with its signature.
[[nodiscard]] ImageHeader read_jpeg_header(std::span<const std::byte> bytes);
[[nodiscard]] ImageHeader read_png_header(std::span<const std::byte> bytes);
[[nodiscard]] ImageHeader read_webp_header(std::span<const std::byte> bytes);
[[nodiscard]] ImageHeader read_bmp_header(std::span<const std::byte> bytes);

// Orientation 1..8 in an EXIF block (TIFF structure); empty when it holds none.
// Source: EXIF 2.32, section 4.6.4 (tag 0x0112); TIFF 6.0, section 2.
[[nodiscard]] std::optional<int> exif_orientation(std::span<const std::byte> tiff);

}  // namespace lora::io
