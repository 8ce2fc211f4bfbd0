// Character classes, lower case and NFC for the tokenizer and for folder names.
// Not an encoding layer: UTF-8 is base/utf8.h. Not locale-aware.
// Used by text/clip_tokenizer.cpp, data/.
// Source: Unicode Character Database (Debian's unicode-data), UAX 15.
// Threads  pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lora::text {

enum class CharClass { kSpace, kLetter, kNumber, kOther };

// kSpace is Unicode's White_Space; kLetter \p{L}; kNumber \p{N}.
[[nodiscard]] CharClass char_class(char32_t c);
// What Python's str.strip() removes: White_Space and U+001C..U+001F.
[[nodiscard]] bool is_python_space(char32_t c);
// Value of a decimal digit of any script (\p{Nd}).
[[nodiscard]] std::optional<int> decimal_digit(char32_t c);
// Lower case character by character, without context rules.
[[nodiscard]] std::u32string to_lower(std::u32string_view text);
// Normalization form C.
[[nodiscard]] std::u32string to_nfc(std::u32string_view text);

// Python's str.strip() and str.lower() on UTF-8; broken bytes become U+FFFD.
[[nodiscard]] std::string_view strip(std::string_view utf8);
[[nodiscard]] std::string lower_utf8(std::string_view utf8);

}  // namespace lora::text
