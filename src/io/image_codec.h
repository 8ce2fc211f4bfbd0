// Pictures from bytes: JPEG, PNG, WebP and BMP to 8-bit RGB, and their size from the header alone.
// Not for resizing and cropping (data/image_transform.h) nor for writing (io/png.h).
// Shapes   Image::rgb is [height, width, 3], row-major.
// Errors   Error{kData}: not a picture, damaged, cut short, too large; with the picture as context.
//          Error{kIo} when the file cannot be read.
// Threads  pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora::io {

struct Image {
    int64_t height_px = 0;
    int64_t width_px = 0;
    std::vector<uint8_t> rgb;
};

struct ImageSize {
    int64_t height_px = 0;
    int64_t width_px = 0;
    bool operator==(const ImageSize&) const = default;
};

struct DecodeOptions {
    // Turn the picture as its EXIF orientation says; sd-scripts leaves it as stored.
    bool apply_exif = true;
    // Put transparent pixels on white; sd-scripts drops the alpha channel.
    bool composite_alpha = true;
    // The alpha channel itself as a grey picture; one without alpha is white.
    bool alpha_only = false;
    // Larger pictures are refused before memory is taken for them.
    int64_t max_pixels = int64_t{1} << 28;
};

// `name` names the picture in errors.
[[nodiscard]] Image decode_image(std::span<const std::byte> bytes,
                                 std::string_view name,
                                 const DecodeOptions& options = {});
// The size decode_image would give (turned by EXIF if asked), without decoding.
[[nodiscard]] ImageSize read_image_size(std::span<const std::byte> bytes,
                                        std::string_view name,
                                        const DecodeOptions& options = {});

[[nodiscard]] Image read_image_file(const std::string& path, const DecodeOptions& options = {});
[[nodiscard]] ImageSize read_image_file_size(const std::string& path,
                                             const DecodeOptions& options = {});

}  // namespace lora::io
