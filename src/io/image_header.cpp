#include "io/internal/image_header.h"

#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "base/error.h"
#include "io/internal/byte_reader.h"
#include "io/internal/png_chunks.h"

namespace lora::io {
namespace {

[[noreturn]] void fail(std::string text) { throw Error(ErrorCode::kData, std::move(text)); }

struct Signature {
    std::string_view start;
    size_t at;
    std::string_view name;
};

// Kinds that people give in place of a picture we read.
constexpr std::array kOtherKinds = {
    Signature{"GIF8", 0, "a GIF picture"},
    Signature{"II*\0", 0, "a TIFF picture"},
    Signature{"MM\0*", 0, "a TIFF picture"},
    Signature{"ftypavif", 4, "an AVIF picture"},
    Signature{"ftypheic", 4, "a HEIC picture"},
    Signature{"ftypmif1", 4, "a HEIF picture"},
    Signature{"8BPS", 0, "a Photoshop file"},
    Signature{"\xFF\x0A", 0, "a JPEG XL picture"},
    Signature{"%PDF", 0, "a PDF file"},
    Signature{"PK\x03\x04", 0, "a zip archive"},
    Signature{"<svg", 0, "an SVG drawing"},
    Signature{"<!DOCTYPE", 0, "a web page"},
    Signature{"<html", 0, "a web page"},
};

bool looks_like_text(std::span<const std::byte> bytes) {
    const size_t count = bytes.size() < 512 ? bytes.size() : 512;
    for (size_t i = 0; i < count; ++i) {
        const auto value = std::to_integer<unsigned>(bytes[i]);
        if (value < 0x20 && value != '\n' && value != '\r' && value != '\t') return false;
    }
    return count > 0;
}

[[noreturn]] void fail_as_other_kind(std::span<const std::byte> bytes) {
    constexpr const char* kHint =
        "pictures must be JPEG, PNG, WebP or BMP; convert it or take it out of the folder";
    std::string what = looks_like_text(bytes) ? "a text file" : "of an unknown kind";
    if (bytes.empty()) what = "empty";
    const ByteReader reader(bytes);
    for (const Signature& item : kOtherKinds) {
        if (reader.matches(item.at, item.start)) what = std::string(item.name);
    }
    throw Error(ErrorCode::kData,
                fmt::format("not a picture that can be read: the file is {}", what))
        .with_hint(kHint);
}

// BMP's first two letters are too few to go by.
bool looks_like_bmp(const ByteReader& reader) {
    if (!reader.matches(0, "BM")) return false;
    const uint32_t header_bytes = reader.little(14, 4).value_or(0);
    return header_bytes == 12 || (header_bytes >= 40 && header_bytes <= 124);
}

}  // namespace

ImageHeader read_image_header(std::span<const std::byte> bytes) {
    const ByteReader reader(bytes);
    ImageHeader header;
    if (reader.matches(0, "\xFF\xD8\xFF")) {
        header = read_jpeg_header(bytes);
    } else if (reader.matches(0, kPngSignature)) {
        header = read_png_header(bytes);
    } else if (reader.matches(0, "RIFF") && reader.matches(8, "WEBP")) {
        header = read_webp_header(bytes);
    } else if (looks_like_bmp(reader)) {
        header = read_bmp_header(bytes);
    } else {
        fail_as_other_kind(bytes);
    }
    if (header.height_px <= 0 || header.width_px <= 0) {
        fail(fmt::format(
            "the picture claims to be {} x {} pixels", header.width_px, header.height_px));
    }
    return header;
}

ImageHeader read_jpeg_header(std::span<const std::byte> bytes) {
    const ByteReader reader(bytes);
    ImageHeader header{.format = ImageFormat::kJpeg};
    bool has_adobe_marker = false;
    size_t at = 2;
    while (true) {
        // Any number of 0xFF may stand before a marker's second byte.
        while (reader.matches(at, "\xFF\xFF")) ++at;
        const auto marker = reader.big(at, 2);
        const auto length = reader.big(at + 2, 2);
        if (!marker.has_value() || !length.has_value() || *length < 2 || (*marker >> 8) != 0xFF) {
            fail("the JPEG's header is damaged or cut short");
        }
        const size_t body = at + 4;
        const bool is_frame = *marker >= 0xFFC0 && *marker <= 0xFFCF && *marker != 0xFFC4 &&
                              *marker != 0xFFC8 && *marker != 0xFFCC;
        if (is_frame) {
            const auto height = reader.big(body + 1, 2);
            const auto width = reader.big(body + 3, 2);
            const auto num_components = reader.big(body + 5, 1);
            if (!num_components.has_value()) fail("the JPEG is cut short");
            header.height_px = *height;
            header.width_px = *width;
            header.is_unmarked_cmyk = *num_components == 4 && !has_adobe_marker;
            return header;
        }
        if (*marker == 0xFFE1 && reader.matches(body, std::string_view("Exif\0\0", 6))) {
            header.orientation =
                exif_orientation(reader.part(body + 6, *length - 2 < 6 ? 0 : *length - 8))
                    .value_or(header.orientation);
        }
        if (*marker == 0xFFEE && reader.matches(body, "Adobe")) has_adobe_marker = true;
        at += 2 + *length;
    }
}

ImageHeader read_png_header(std::span<const std::byte> bytes) {
    ImageHeader header{.format = ImageFormat::kPng};
    bool is_first = true;
    for_each_png_chunk(bytes, [&](const PngChunk& chunk) {
        if (is_first) {
            is_first = false;
            if (chunk.type != "IHDR" || chunk.data.size() < 13) return false;
            const ByteReader reader(chunk.data);
            header.width_px = *reader.big(0, 4);
            header.height_px = *reader.big(4, 4);
            const uint32_t depth = *reader.big(8, 1);
            const uint32_t color = *reader.big(9, 1);
            const uint32_t channels = color == 2 ? 3 : color == 4 ? 2 : color == 6 ? 4 : 1;
            const auto width = static_cast<uint64_t>(header.width_px);
            header.raw_bytes =
                (width * channels * depth / 8 + 1) * static_cast<uint64_t>(header.height_px);
        }
        if (chunk.type == "eXIf") {
            header.orientation = exif_orientation(chunk.data).value_or(header.orientation);
            return false;
        }
        return true;
    });
    if (header.raw_bytes == 0) fail("the PNG's header is damaged or cut short");
    return header;
}

ImageHeader read_bmp_header(std::span<const std::byte> bytes) {
    const ByteReader reader(bytes);
    ImageHeader header{.format = ImageFormat::kBmp};
    const bool is_old = reader.little(14, 4) == 12U;
    const auto width = is_old ? reader.little(18, 2) : reader.little(18, 4);
    const auto height = is_old ? reader.little(20, 2) : reader.little(22, 4);
    if (!width.has_value() || !height.has_value()) fail("the BMP is cut short");
    header.width_px = static_cast<int32_t>(*width);
    // Negative: rows run downwards.
    header.height_px = std::abs(static_cast<int64_t>(static_cast<int32_t>(*height)));
    return header;
}

std::optional<int> exif_orientation(std::span<const std::byte> tiff) {
    const ByteReader reader(tiff);
    const bool is_big = reader.matches(0, "MM");
    if (!is_big && !reader.matches(0, "II")) return std::nullopt;
    const auto number = [&](size_t at, size_t count) {
        return is_big ? reader.big(at, count) : reader.little(at, count);
    };
    constexpr uint32_t kOrientationTag = 0x0112;
    constexpr uint32_t kShort = 3;
    const auto directory = number(4, 4);
    if (number(2, 2) != 42U || !directory.has_value()) return std::nullopt;
    const uint32_t count = number(*directory, 2).value_or(0);
    for (uint32_t i = 0; i < count; ++i) {
        const size_t entry = size_t{*directory} + 2 + size_t{12} * i;
        const auto tag = number(entry, 2);
        if (!tag.has_value()) return std::nullopt;
        if (*tag != kOrientationTag || number(entry + 2, 2) != kShort) continue;
        const uint32_t value = number(entry + 8, 2).value_or(0);
        if (value >= 1 && value <= 8) return static_cast<int>(value);
    }
    return std::nullopt;
}

}  // namespace lora::io
