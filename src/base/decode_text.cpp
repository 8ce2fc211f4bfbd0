// decode_text: which encoding a caption file is in, judged by what its text would look like.
#include <array>
#include <optional>

#include "base/internal/legacy_encoding.h"
#include "base/utf8.h"

namespace lora {
namespace {

using Bytes = std::string_view;

unsigned byte_at(Bytes bytes, size_t i) { return static_cast<unsigned char>(bytes[i]); }

// Empty when a surrogate stands alone or half a unit is left over.
std::optional<std::u32string> decode_utf16(Bytes bytes, bool big_endian, bool strict) {
    std::u32string text;
    const auto unit = [&](size_t i) {
        const unsigned first = byte_at(bytes, 2 * i);
        const unsigned second = byte_at(bytes, 2 * i + 1);
        return static_cast<char32_t>(big_endian ? first << 8 | second : second << 8 | first);
    };
    const size_t count = bytes.size() / 2;
    for (size_t i = 0; i < count; ++i) {
        char32_t c = unit(i);
        if (c >= 0xD800 && c < 0xE000) {
            const char32_t low = c < 0xDC00 && i + 1 < count ? unit(i + 1) : 0;
            const bool paired = low >= 0xDC00 && low < 0xE000;
            if (!paired && strict) return std::nullopt;
            c = paired ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
            if (paired) ++i;
        }
        text += c;
    }
    if (bytes.size() % 2 != 0) {
        if (strict) return std::nullopt;
        text += U'\uFFFD';
    }
    return text;
}

bool is_han(char32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c < 0x32000);
}
bool is_kana(char32_t c) { return c >= 0x3041 && c <= 0x30FE; }
bool is_halfwidth_kana(char32_t c) { return c >= 0xFF61 && c <= 0xFF9F; }
bool is_cjk_punctuation(char32_t c) {
    return (c >= 0x3000 && c <= 0x3011) || c == 0x2026 || c == 0x2014 || c == 0x00B7 ||
           c == 0x30FB || (c >= 0x2018 && c <= 0x201D);
}
bool is_fullwidth_ascii(char32_t c) { return c >= 0xFF01 && c <= 0xFF5E; }
bool is_control(char32_t c) {
    return (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || (c >= 0x7F && c < 0xA0);
}

// How usual the character is that stands at these bytes, from the order of the encoding itself:
// all three put the frequent characters first.
double han_level_score(TextEncoding encoding, unsigned lead, unsigned trail) {
    switch (encoding) {
        case TextEncoding::kGbk:
            if (trail < 0xA1 || lead < 0xB0) return -2;  // the GBK extension
            return lead <= 0xD7 ? 1 : -0.5;
        case TextEncoding::kBig5: return lead <= 0xC6 ? 0.5 : -1.5;
        case TextEncoding::kShiftJis: return lead <= 0x98 ? 1 : -1;
        default: return 0;
    }
}

double character_score(TextEncoding encoding, char32_t c, unsigned lead, unsigned trail) {
    if (is_han(c)) return detail::is_common_han(c) ? 3 : han_level_score(encoding, lead, trail);
    if (is_cjk_punctuation(c) || is_fullwidth_ascii(c)) return 2;
    if (is_kana(c)) return encoding == TextEncoding::kShiftJis ? 3 : 0;
    if (is_halfwidth_kana(c)) return -2.5;
    if (c >= 0xE000 && c < 0xF900) return -5;  // private use
    if (is_control(c)) return -5;
    return -1;
}

// Mean score of a byte outside ASCII. `text` is what `bytes` decode to, character by character.
double legacy_score(TextEncoding encoding, Bytes bytes, const std::u32string& text) {
    double sum = 0;
    size_t weight = 0;
    size_t at = 0;
    for (const char32_t c : text) {
        if (at >= bytes.size()) break;
        const unsigned lead = byte_at(bytes, at);
        if (lead < 0x80) {
            if (is_control(c)) sum -= 5;
            ++at;
            continue;
        }
        const bool is_single =
            lead == 0x80 || lead == 0xFF ||
            (encoding == TextEncoding::kShiftJis && lead >= 0xA0 && lead <= 0xDF);
        const size_t size = is_single || at + 1 >= bytes.size() ? 1 : 2;
        const double score =
            character_score(encoding, c, lead, size == 2 ? byte_at(bytes, at + 1) : 0);
        sum += score * static_cast<double>(size);
        weight += size;
        at += size;
    }
    return weight == 0 ? 0 : sum / static_cast<double>(weight);
}

double utf16_score(const std::u32string& text) {
    double sum = 0;
    for (const char32_t c : text) {
        if (c == '\n' || c == '\r' || c == '\t' || (c >= 0x20 && c < 0x7F)) {
            sum += 2;
        } else {
            sum += character_score(TextEncoding::kUtf16Le, c, 0, 0);
        }
    }
    return text.empty() ? 0 : sum / static_cast<double>(text.size());
}

// UTF-16 without a mark. With a zero byte in the file nothing else is likely; without one the text
// must be convincing, since two bytes of anything make some character.
std::optional<DecodedText> try_utf16(Bytes bytes) {
    const bool has_zero = bytes.find('\0') != Bytes::npos;
    const double needed = has_zero ? 0.5 : 2.5;
    std::optional<DecodedText> best;
    double best_score = needed;
    for (const bool big_endian : {false, true}) {
        const auto text = decode_utf16(bytes, big_endian, true);
        if (!text.has_value()) continue;
        const double score = utf16_score(*text);
        if (score < best_score) continue;
        best_score = score;
        best = {utf32_to_utf8(*text), big_endian ? TextEncoding::kUtf16Be : TextEncoding::kUtf16Le};
    }
    return best;
}

// Whether the bytes are UTF-8 but for a few: three-byte sequences do not come about by chance.
bool is_mostly_utf8(const std::u32string& text) {
    size_t bytes_in_long_sequences = 0;
    size_t num_broken = 0;
    for (const char32_t c : text) {
        if (c == 0xFFFD) ++num_broken;
        if (c >= 0x800 && c != 0xFFFD) bytes_in_long_sequences += 3;
    }
    return bytes_in_long_sequences >= 3 * num_broken && bytes_in_long_sequences > 0;
}

std::optional<DecodedText> try_legacy(Bytes bytes) {
    // In doubt the first wins: simplified Chinese files outnumber the others.
    constexpr std::array kEncodings = {
        TextEncoding::kGbk, TextEncoding::kBig5, TextEncoding::kShiftJis};
    std::optional<DecodedText> best;
    double best_score = -1;
    for (const TextEncoding encoding : kEncodings) {
        const auto text = detail::decode_legacy(encoding, bytes);
        if (!text.has_value()) continue;
        const double score = legacy_score(encoding, bytes, *text);
        if (score <= best_score) continue;
        best_score = score;
        best = {utf32_to_utf8(*text), encoding};
    }
    return best;
}

}  // namespace

DecodedText decode_text(std::string_view bytes) {
    if (bytes.starts_with("\xEF\xBB\xBF")) {
        const Bytes rest = bytes.substr(3);
        if (is_valid_utf8(rest)) return {std::string(rest), TextEncoding::kUtf8};
        return {utf32_to_utf8(utf8_to_utf32(rest)), TextEncoding::kBrokenUtf8};
    }
    if (bytes.starts_with("\xFF\xFE")) {
        return {utf32_to_utf8(*decode_utf16(bytes.substr(2), false, false)),
                TextEncoding::kUtf16Le};
    }
    if (bytes.starts_with("\xFE\xFF")) {
        return {utf32_to_utf8(*decode_utf16(bytes.substr(2), true, false)), TextEncoding::kUtf16Be};
    }
    const bool has_zero = bytes.find('\0') != Bytes::npos;
    if (has_zero) {
        if (auto text = try_utf16(bytes)) return *std::move(text);
    }
    if (is_valid_utf8(bytes)) return {std::string(bytes), TextEncoding::kUtf8};
    const std::u32string broken = utf8_to_utf32(bytes);
    if (is_mostly_utf8(broken)) return {utf32_to_utf8(broken), TextEncoding::kBrokenUtf8};
    if (auto text = try_utf16(bytes)) return *std::move(text);
    if (auto text = try_legacy(bytes)) return *std::move(text);
    return {utf32_to_utf8(broken), TextEncoding::kBrokenUtf8};
}

std::string_view encoding_name(TextEncoding encoding) {
    switch (encoding) {
        case TextEncoding::kUtf8: return "UTF-8";
        case TextEncoding::kUtf16Le: return "UTF-16 (little-endian)";
        case TextEncoding::kUtf16Be: return "UTF-16 (big-endian)";
        case TextEncoding::kGbk: return "GBK";
        case TextEncoding::kBig5: return "Big5";
        case TextEncoding::kShiftJis: return "Shift-JIS";
        case TextEncoding::kBrokenUtf8: return "broken UTF-8";
    }
    return "unknown";
}

}  // namespace lora
