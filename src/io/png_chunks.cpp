#include "io/internal/png_chunks.h"

#include <array>

#include "io/internal/byte_reader.h"

namespace lora::io {
namespace {

// Row r continues the CRC over r further zero bytes, so that eight bytes are taken at once.
using Table = std::array<std::array<uint32_t, 256>, 8>;

constexpr Table make_table() {
    Table table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        table[0][i] = crc;
    }
    for (size_t row = 1; row < 8; ++row) {
        for (size_t i = 0; i < 256; ++i) {
            const uint32_t previous = table[row - 1][i];
            table[row][i] = (previous >> 8) ^ table[0][previous & 0xFFU];
        }
    }
    return table;
}

constexpr Table kTable = make_table();

}  // namespace

uint32_t png_crc(std::span<const std::byte> bytes) {
    uint32_t crc = 0xFFFFFFFF;
    const auto byte = [&bytes](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
    while (bytes.size() >= 8) {
        const uint32_t first = crc ^ (byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24);
        crc = kTable[7][first & 0xFFU] ^ kTable[6][(first >> 8) & 0xFFU] ^
              kTable[5][(first >> 16) & 0xFFU] ^ kTable[4][first >> 24] ^ kTable[3][byte(4)] ^
              kTable[2][byte(5)] ^ kTable[1][byte(6)] ^ kTable[0][byte(7)];
        bytes = bytes.subspan(8);
    }
    for (const std::byte b : bytes) {
        crc = (crc >> 8) ^ kTable[0][(crc ^ std::to_integer<uint32_t>(b)) & 0xFFU];
    }
    return crc ^ 0xFFFFFFFFU;
}

bool for_each_png_chunk(std::span<const std::byte> bytes,
                        const std::function<bool(const PngChunk&)>& visit) {
    constexpr size_t kFrame = 12;  // length, type, CRC
    const ByteReader reader(bytes);
    size_t at = kPngSignature.size();
    while (true) {
        const auto length = reader.big(at, 4);
        if (!length.has_value() || reader.size() - at < kFrame ||
            *length > reader.size() - at - kFrame) {
            return false;
        }
        const auto type = reader.part(at + 4, 4);
        const PngChunk chunk{{reinterpret_cast<const char*>(type.data()), 4},
                             reader.part(at + 8, *length),
                             reader.part(at + 4, size_t{4} + *length),
                             reader.big(at + 8 + *length, 4).value_or(0)};
        if (!visit(chunk)) return true;
        if (chunk.type == "IEND") return true;
        at += kFrame + *length;
    }
}

}  // namespace lora::io
