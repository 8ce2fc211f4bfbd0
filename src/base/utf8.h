// UTF-8: validation, code points, and decoding of caption files in other encodings.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

[[nodiscard]] bool is_valid_utf8(std::string_view text);
// Code points; broken bytes become U+FFFD.
[[nodiscard]] std::u32string utf8_to_utf32(std::string_view text);
[[nodiscard]] std::string utf32_to_utf8(std::u32string_view text);
[[nodiscard]] std::wstring utf8_to_wide(std::string_view text);
[[nodiscard]] std::string wide_to_utf8(std::wstring_view text);

enum class TextEncoding { kUtf8, kUtf16Le, kUtf16Be, kGbk, kBig5, kShiftJis, kBrokenUtf8 };

struct DecodedText {
    std::string utf8;       // without byte-order mark
    TextEncoding encoding;  // what it was taken for
};

// Decodes the bytes of a text file: byte-order marks first, then UTF-8, then UTF-16 without mark,
// then the East Asian encoding under which the text scores best; bytes that fit nothing give
// kBrokenUtf8 with U+FFFD. Never fails.
[[nodiscard]] DecodedText decode_text(std::string_view bytes);
[[nodiscard]] std::string_view encoding_name(TextEncoding encoding);

}  // namespace lora
