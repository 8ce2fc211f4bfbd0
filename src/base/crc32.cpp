#include "base/crc32.h"

#include <array>

namespace lora {
namespace {

// Row r continues the CRC over r further zero bytes, so that eight bytes are taken at once.
using Table = std::array<std::array<uint32_t, 256>, 8>;

constexpr Table make_table(uint32_t polynomial) {
    Table table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0U);
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

constexpr Table kIso = make_table(0xEDB88320U);
constexpr Table kCastagnoli = make_table(0x82F63B78U);

uint32_t checksum(const Table& table, std::span<const std::byte> bytes) {
    uint32_t crc = 0xFFFFFFFF;
    const auto byte = [&bytes](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
    while (bytes.size() >= 8) {
        const uint32_t first = crc ^ (byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24);
        crc = table[7][first & 0xFFU] ^ table[6][(first >> 8) & 0xFFU] ^
              table[5][(first >> 16) & 0xFFU] ^ table[4][first >> 24] ^ table[3][byte(4)] ^
              table[2][byte(5)] ^ table[1][byte(6)] ^ table[0][byte(7)];
        bytes = bytes.subspan(8);
    }
    for (const std::byte b : bytes) {
        crc = (crc >> 8) ^ table[0][(crc ^ std::to_integer<uint32_t>(b)) & 0xFFU];
    }
    return crc ^ 0xFFFFFFFFU;
}

}  // namespace

uint32_t crc32(std::span<const std::byte> bytes) { return checksum(kIso, bytes); }

uint32_t crc32c(std::span<const std::byte> bytes) { return checksum(kCastagnoli, bytes); }

}  // namespace lora
