// Strict decoding of the East Asian encodings through the system's tables: iconv on Linux, the code
// pages on Windows. Used by base/decode_text.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/utf8.h"

namespace lora::detail {

// Empty when the bytes are not valid in that encoding, or the system lacks its table.
[[nodiscard]] std::optional<std::u32string> decode_legacy(TextEncoding encoding,
                                                          std::string_view bytes);

// Whether a Han character belongs to the few hundred that most text consists of.
[[nodiscard]] bool is_common_han(char32_t c);

}  // namespace lora::detail
