// The chunks a PNG file consists of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace lora::io {

inline constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1A\n";

struct PngChunk {
    std::string_view type;  // four letters
    std::span<const std::byte> data;
    std::span<const std::byte> type_and_data;
    uint32_t crc = 0;  // as stored
};

// Calls visit for every whole chunk until it returns false. False when the file ends within a chunk
// or before IEND.
bool for_each_png_chunk(std::span<const std::byte> bytes,
                        const std::function<bool(const PngChunk&)>& visit);

}  // namespace lora::io
