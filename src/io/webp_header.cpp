#include "base/error.h"
#include "io/internal/byte_reader.h"
#include "io/internal/image_header.h"

namespace lora::io {
namespace {

// Size in a VP8X (extended), VP8 (lossy) or VP8L (lossless) chunk whose body starts at `body`.
// Source: WebP container specification; RFC 6386 section 9.1; WebP lossless bitstream, section 3.
bool read_size(const ByteReader& reader, size_t chunk, ImageHeader& header) {
    const size_t body = chunk + 8;
    if (reader.matches(chunk, "VP8X")) {
        const auto width = reader.little(body + 4, 3);
        const auto height = reader.little(body + 7, 3);
        if (!height.has_value()) return false;
        header.width_px = int64_t{*width} + 1;
        header.height_px = int64_t{*height} + 1;
        return true;
    }
    if (reader.matches(chunk, "VP8L")) {
        const auto bits = reader.little(body + 1, 4);
        if (!bits.has_value() || reader.big(body, 1) != 0x2FU) return false;
        header.width_px = (*bits & 0x3FFFU) + 1;
        header.height_px = ((*bits >> 14) & 0x3FFFU) + 1;
        return true;
    }
    if (reader.matches(chunk, "VP8 ")) {
        const auto width = reader.little(body + 6, 2);
        const auto height = reader.little(body + 8, 2);
        if (!height.has_value() || !reader.matches(body + 3, "\x9D\x01\x2A")) return false;
        header.width_px = *width & 0x3FFFU;
        header.height_px = *height & 0x3FFFU;
        return true;
    }
    return false;
}

}  // namespace

ImageHeader read_webp_header(std::span<const std::byte> bytes) {
    const ByteReader reader(bytes);
    ImageHeader header{.format = ImageFormat::kWebp};
    constexpr size_t kFirstChunk = 12;
    if (!read_size(reader, kFirstChunk, header)) {
        throw Error(ErrorCode::kData, "the WebP's header is damaged or cut short");
    }
    size_t chunk = kFirstChunk;
    while (const auto length = reader.little(chunk + 4, 4)) {
        if (reader.matches(chunk, "EXIF")) {
            // Some writers keep JPEG's prefix.
            const size_t body = chunk + 8;
            const size_t skip =
                reader.matches(body, std::string_view("Exif\0\0", 6)) && *length >= 6 ? 6 : 0;
            header.orientation =
                exif_orientation(reader.part(body + skip, *length - skip)).value_or(1);
            break;
        }
        chunk += 8 + size_t{*length} + (*length & 1U);
    }
    return header;
}

}  // namespace lora::io
