#include <windows.h>

#include "base/internal/legacy_encoding.h"

namespace lora::detail {
namespace {

UINT code_page(TextEncoding encoding) {
    switch (encoding) {
        case TextEncoding::kGbk: return 936;
        case TextEncoding::kBig5: return 950;
        case TextEncoding::kShiftJis: return 932;
        default: return 0;
    }
}

}  // namespace

std::optional<std::u32string> decode_legacy(TextEncoding encoding, std::string_view bytes) {
    const UINT page = code_page(encoding);
    if (page == 0 || bytes.size() > 0x7FFFFFFF) return std::nullopt;
    if (bytes.empty()) return std::u32string();
    const int size = static_cast<int>(bytes.size());
    std::wstring wide(bytes.size(), L'\0');
    const int units =
        MultiByteToWideChar(page, MB_ERR_INVALID_CHARS, bytes.data(), size, wide.data(), size);
    if (units == 0) return std::nullopt;
    wide.resize(static_cast<size_t>(units));
    return utf8_to_utf32(wide_to_utf8(wide));
}

}  // namespace lora::detail
