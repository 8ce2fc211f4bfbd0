#include "base/utf8.h"

#include <cstddef>

namespace lora {
namespace {

constexpr char32_t kReplacement = 0xFFFD;

struct Decoded {
    char32_t code_point;
    size_t size;  // bytes taken
    bool valid;
};

// The code point at the start of a text that is not empty. A broken sequence takes its longest
// valid beginning, so that the byte after it is looked at again (Unicode 15, section 3.9).
Decoded decode_one(std::string_view text) {
    const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned lead = byte(0);
    if (lead < 0x80) return {lead, 1, true};
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4) return {kReplacement, 1, false};
    // The second byte's range keeps out overlong forms, surrogates and values above U+10FFFF.
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    char32_t code_point = lead & (0x7FU >> size);
    for (size_t i = 1; i < size; ++i) {
        const unsigned from = i == 1 ? low : 0x80;
        const unsigned to = i == 1 ? high : 0xBF;
        if (i >= text.size() || byte(i) < from || byte(i) > to) return {kReplacement, i, false};
        code_point = (code_point << 6) | (byte(i) & 0x3FU);
    }
    return {code_point, size, true};
}

bool is_scalar(char32_t c) { return c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF); }

}  // namespace

bool is_valid_utf8(std::string_view text) {
    while (!text.empty()) {
        const Decoded one = decode_one(text);
        if (!one.valid) return false;
        text.remove_prefix(one.size);
    }
    return true;
}

std::u32string utf8_to_utf32(std::string_view text) {
    std::u32string result;
    result.reserve(text.size());
    while (!text.empty()) {
        const Decoded one = decode_one(text);
        result += one.code_point;
        text.remove_prefix(one.size);
    }
    return result;
}

std::string utf32_to_utf8(std::u32string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char32_t given : text) {
        const char32_t c = is_scalar(given) ? given : kReplacement;
        const auto put = [&result](char32_t value) { result += static_cast<char>(value); };
        if (c < 0x80) {
            put(c);
        } else if (c < 0x800) {
            put(0xC0 | (c >> 6));
            put(0x80 | (c & 0x3F));
        } else if (c < 0x10000) {
            put(0xE0 | (c >> 12));
            put(0x80 | ((c >> 6) & 0x3F));
            put(0x80 | (c & 0x3F));
        } else {
            put(0xF0 | (c >> 18));
            put(0x80 | ((c >> 12) & 0x3F));
            put(0x80 | ((c >> 6) & 0x3F));
            put(0x80 | (c & 0x3F));
        }
    }
    return result;
}

std::wstring utf8_to_wide(std::string_view text) {
    std::wstring result;
    for (const char32_t c : utf8_to_utf32(text)) {
        if constexpr (sizeof(wchar_t) == 2) {
            if (c >= 0x10000) {
                result += static_cast<wchar_t>(0xD800 + ((c - 0x10000) >> 10));
                result += static_cast<wchar_t>(0xDC00 + ((c - 0x10000) & 0x3FF));
                continue;
            }
        }
        result += static_cast<wchar_t>(c);
    }
    return result;
}

std::string wide_to_utf8(std::wstring_view text) {
    std::u32string points;
    points.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        auto c = static_cast<char32_t>(text[i]);
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < text.size()) {
            const auto low = static_cast<char32_t>(text[i + 1]);
            if (low >= 0xDC00 && low < 0xE000) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                ++i;
            }
        }
        points += c;
    }
    return utf32_to_utf8(points);
}

}  // namespace lora
