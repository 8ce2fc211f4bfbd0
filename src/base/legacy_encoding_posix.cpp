#include <cstdint>
#include <iconv.h>

#include "base/internal/legacy_encoding.h"

namespace lora::detail {
namespace {

const char* iconv_name(TextEncoding encoding) {
    switch (encoding) {
        case TextEncoding::kGbk: return "CP936";
        case TextEncoding::kBig5: return "CP950";
        case TextEncoding::kShiftJis: return "CP932";
        default: return nullptr;
    }
}

}  // namespace

std::optional<std::u32string> decode_legacy(TextEncoding encoding, std::string_view bytes) {
    const char* name = iconv_name(encoding);
    if (name == nullptr) return std::nullopt;
    iconv_t converter = ::iconv_open("UTF-8", name);
    if (reinterpret_cast<intptr_t>(converter) == -1) return std::nullopt;
    // No character of these encodings needs more than three bytes of UTF-8 per byte.
    std::string utf8(bytes.size() * 3 + 4, '\0');
    std::string copy(bytes);
    char* src = copy.data();
    size_t src_left = copy.size();
    char* dst = utf8.data();
    size_t dst_left = utf8.size();
    const size_t result = ::iconv(converter, &src, &src_left, &dst, &dst_left);
    const bool ok =
        result != static_cast<size_t>(-1) &&
        ::iconv(converter, nullptr, nullptr, &dst, &dst_left) != static_cast<size_t>(-1);
    ::iconv_close(converter);
    if (!ok) return std::nullopt;
    utf8.resize(utf8.size() - dst_left);
    return utf8_to_utf32(utf8);
}

}  // namespace lora::detail
