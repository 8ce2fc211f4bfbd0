// Writing PNG pictures with text, and reading that text back (the key `parameters` is what other
// programs show as generation data). Not for reading pixels: io/image_codec.h.
// Source: PNG specification, third edition (W3C); RFC 1950 for the compression.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/image_codec.h"

namespace lora::io {

// Keyword (1 to 79 printable ASCII characters) to UTF-8 text.
using PngText = std::map<std::string, std::string>;

// ASCII text becomes a tEXt chunk, other text iTXt; both stand before the pixels.
[[nodiscard]] std::vector<std::byte> encode_png(const Image& image, const PngText& text = {});
// Writes the file whole or not at all. Errors  Error{kIo}.
void write_png(const std::string& path, const Image& image, const PngText& text = {});

// The tEXt, zTXt and iTXt chunks; broken ones are left out, as is text over 4 MiB.
// Errors  Error{kData} when the bytes are no PNG.
[[nodiscard]] PngText read_png_text(std::span<const std::byte> bytes);

}  // namespace lora::io
