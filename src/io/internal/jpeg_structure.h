// Checks a JPEG before it is decoded: that it is whole, and that every table a scan uses is there
// and sound. The decoder trusts tables and fills missing data with grey. Source: ITU-T T.81, annex
// B (markers and segments), C.2 (Huffman tables).
#pragma once

#include <cstddef>
#include <span>

namespace lora::io {

// Errors  Error{kData} saying what is damaged.
void check_jpeg_structure(std::span<const std::byte> bytes);

}  // namespace lora::io
