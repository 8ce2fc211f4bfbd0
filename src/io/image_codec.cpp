#include "io/image_codec.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/crc32.h"
#include "base/error.h"
#include "base/file.h"
#include "io/internal/byte_reader.h"
#include "io/internal/image_header.h"
#include "io/internal/jpeg_structure.h"
#include "io/internal/pixels.h"
#include "io/internal/png_chunks.h"

namespace lora::io {
namespace {

[[noreturn]] void fail_damaged(std::string text) {
    throw Error(ErrorCode::kData, std::move(text))
        .with_hint("copy it again, or open it in a picture editor and save it");
}

void check_limits(const ImageHeader& header,
                  std::span<const std::byte> bytes,
                  const DecodeOptions& options) {
    if (header.width_px > options.max_pixels / header.height_px) {
        throw Error(ErrorCode::kData,
                    fmt::format("the picture is {} x {} pixels, the limit is {} million pixels",
                                header.width_px,
                                header.height_px,
                                options.max_pixels / 1000000))
            .with_hint("make it smaller; training pictures need a few million pixels at most");
    }
    // Deflate makes at most 1032 bytes of one.
    constexpr uint64_t kMaxRatio = 1032;
    if (header.raw_bytes / kMaxRatio > bytes.size())
        fail_damaged("the PNG is cut short: it holds too little data for its size");
}

void check_png_is_whole(std::span<const std::byte> bytes) {
    bool intact = true;
    const bool complete = for_each_png_chunk(bytes, [&intact](const PngChunk& chunk) {
        intact = crc32(chunk.type_and_data) == chunk.crc;
        return intact;
    });
    if (!intact) fail_damaged("the PNG is damaged: a checksum does not match");
    if (!complete) fail_damaged("the PNG is cut short");
}

// The last row may lack its padding. Compressed BMPs are left to the decoder.
void check_bmp_is_whole(const ImageHeader& header, std::span<const std::byte> bytes) {
    const ByteReader reader(bytes);
    const bool is_old = reader.little(14, 4) == 12U;
    const uint64_t start = reader.little(10, 4).value_or(0);
    const uint64_t bits =
        reader.little(is_old ? 24 : 28, 2).value_or(0) * static_cast<uint64_t>(header.width_px);
    const uint32_t compression = is_old ? 0 : reader.little(30, 4).value_or(0);
    const bool is_plain = compression == 0 || compression == 3;
    const uint64_t stride = (bits + 31) / 32 * 4;
    const uint64_t end =
        start + stride * static_cast<uint64_t>(header.height_px - 1) + (bits + 7) / 8;
    if (is_plain && end > bytes.size()) fail_damaged("the BMP is cut short");
}

// Four components without the marker that tells CMYK from YCCK mean CMYK, stored inverted as the
// marker's inventor does (and Pillow assumes); the decoder wants to be told.
std::vector<std::byte> with_adobe_marker(std::span<const std::byte> bytes) {
    constexpr std::string_view kMarker(
        "\xFF\xEE\x00\x0E"
        "Adobe\x00\x64\x00\x00\x00\x00\x00",
        16);
    const auto marker = std::as_bytes(std::span(kMarker.data(), kMarker.size()));
    std::vector<std::byte> result(bytes.begin(), bytes.begin() + 2);
    result.insert(result.end(), marker.begin(), marker.end());
    result.insert(result.end(), bytes.begin() + 2, bytes.end());
    return result;
}

Pixels decode_pixels(const ImageHeader& header, std::span<const std::byte> bytes) {
    switch (header.format) {
        case ImageFormat::kWebp: return decode_webp(bytes);
        case ImageFormat::kJpeg:
            check_jpeg_structure(bytes);
            if (header.is_unmarked_cmyk) return decode_with_stb(with_adobe_marker(bytes));
            return decode_with_stb(bytes);
        case ImageFormat::kPng: check_png_is_whole(bytes); return decode_with_stb(bytes);
        case ImageFormat::kBmp: check_bmp_is_whole(header, bytes); return decode_with_stb(bytes);
    }
    return {};
}

// Grey to three equal channels; alpha against white, or dropped.
std::vector<uint8_t> to_rgb(const Pixels& pixels, const DecodeOptions& options) {
    const auto count = static_cast<size_t>(pixels.height_px) * static_cast<size_t>(pixels.width_px);
    const auto stride = static_cast<size_t>(pixels.num_channels);
    const bool is_grey = stride < 3;
    const bool has_alpha = options.composite_alpha && stride % 2 == 0;
    std::vector<uint8_t> rgb(count * 3);
    if (options.alpha_only) {
        for (size_t i = 0; i < count; ++i) {
            const uint8_t alpha = stride % 2 == 0 ? pixels.data[i * stride + stride - 1] : 255;
            std::fill_n(&rgb[i * 3], 3, alpha);
        }
        return rgb;
    }
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* src = &pixels.data[i * stride];
        const uint32_t alpha = has_alpha ? src[stride - 1] : 255;
        for (size_t c = 0; c < 3; ++c) {
            const uint32_t value = src[is_grey ? 0 : c];
            rgb[i * 3 + c] =
                static_cast<uint8_t>((value * alpha + 255 * (255 - alpha) + 127) / 255);
        }
    }
    return rgb;
}

// Turns the stored picture upright. Source: EXIF 2.32, tag 0x0112: which corner row 0, column 0 is.
Image upright(Image stored, int orientation) {
    if (orientation <= 1 || orientation > 8) return stored;
    const bool swaps_sides = orientation >= 5;
    const bool from_bottom =
        orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
    const bool from_right =
        orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
    Image result;
    result.height_px = swaps_sides ? stored.width_px : stored.height_px;
    result.width_px = swaps_sides ? stored.height_px : stored.width_px;
    result.rgb.resize(stored.rgb.size());
    for (int64_t row = 0; row < result.height_px; ++row) {
        for (int64_t column = 0; column < result.width_px; ++column) {
            int64_t y = from_bottom ? result.height_px - 1 - row : row;
            int64_t x = from_right ? result.width_px - 1 - column : column;
            if (swaps_sides) std::swap(x, y);
            const auto src = static_cast<size_t>((y * stored.width_px + x) * 3);
            const auto dst = static_cast<size_t>((row * result.width_px + column) * 3);
            std::copy_n(&stored.rgb[src], 3, &result.rgb[dst]);
        }
    }
    return result;
}

std::string context_line(std::string_view name) {
    return fmt::format("while reading picture {}", name);
}

}  // namespace

Image decode_image(std::span<const std::byte> bytes,
                   std::string_view name,
                   const DecodeOptions& options) {
    return with_context(context_line(name), [&] {
        const ImageHeader header = read_image_header(bytes);
        check_limits(header, bytes, options);
        const Pixels pixels = decode_pixels(header, bytes);
        if (pixels.height_px != header.height_px || pixels.width_px != header.width_px) {
            fail_damaged("the picture's header and content differ in size");
        }
        Image image{pixels.height_px, pixels.width_px, to_rgb(pixels, options)};
        return upright(std::move(image), options.apply_exif ? header.orientation : 1);
    });
}

ImageSize read_image_size(std::span<const std::byte> bytes,
                          std::string_view name,
                          const DecodeOptions& options) {
    return with_context(context_line(name), [&] {
        const ImageHeader header = read_image_header(bytes);
        check_limits(header, bytes, options);
        if (options.apply_exif && header.orientation >= 5)
            return ImageSize{header.width_px, header.height_px};
        return ImageSize{header.height_px, header.width_px};
    });
}

Image read_image_file(const std::string& path, const DecodeOptions& options) {
    const MappedFile file(path);
    return decode_image(file.bytes(), path, options);
}

ImageSize read_image_file_size(const std::string& path, const DecodeOptions& options) {
    const MappedFile file(path);
    return read_image_size(file.bytes(), path, options);
}

}  // namespace lora::io
