#include "text/unicode.h"

#include <algorithm>
#include <span>
#include <tuple>

#include "base/utf8.h"
#include "text/internal/unicode_tables.h"

namespace lora::text {

namespace {

using internal::CharPair;
using internal::CharRange;
using internal::CharTriple;

constexpr char32_t kHangulFirst = 0xAC00;
constexpr char32_t kHangulL = 0x1100;
constexpr char32_t kHangulV = 0x1161;
constexpr char32_t kHangulT = 0x11A7;
constexpr char32_t kHangulNumL = 19;
constexpr char32_t kHangulNumV = 21;
constexpr char32_t kHangulNumT = 28;
constexpr char32_t kHangulCount = kHangulNumL * kHangulNumV * kHangulNumT;

uint32_t find_range(std::span<const CharRange> ranges, char32_t c) {
    const auto it =
        std::upper_bound(ranges.begin(), ranges.end(), c, [](char32_t value, const CharRange& r) {
            return value < r.first;
        });
    if (it == ranges.begin()) return 0;
    const CharRange& range = *(it - 1);
    return c <= range.last ? range.value : 0;
}

const CharPair* find_pair(std::span<const CharPair> pairs, char32_t c) {
    const auto it =
        std::lower_bound(pairs.begin(), pairs.end(), c, [](const CharPair& p, char32_t value) {
            return p.from < value;
        });
    return it != pairs.end() && it->from == c ? &*it : nullptr;
}

uint32_t combining_class(char32_t c) {
    return c < 0x300 ? 0 : find_range(internal::combining_ranges(), c);
}

// Appends the full canonical decomposition of c.
void decompose(char32_t c, std::u32string& out) {
    if (c < 0xC0) {
        out += c;
        return;
    }
    if (c >= kHangulFirst && c < kHangulFirst + kHangulCount) {
        const char32_t index = c - kHangulFirst;
        out.push_back(kHangulL + index / (kHangulNumV * kHangulNumT));
        out.push_back(kHangulV + index % (kHangulNumV * kHangulNumT) / kHangulNumT);
        if (index % kHangulNumT != 0) out.push_back(kHangulT + index % kHangulNumT);
        return;
    }
    const auto table = internal::decompositions();
    const auto it =
        std::lower_bound(table.begin(), table.end(), c, [](const CharTriple& t, char32_t value) {
            return t.whole < value;
        });
    if (it == table.end() || it->whole != c) {
        out += c;
        return;
    }
    decompose(it->first, out);
    if (it->second != 0) decompose(it->second, out);
}

// 0 when the two do not compose.
char32_t compose(char32_t first, char32_t second) {
    if (first >= kHangulL && first < kHangulL + kHangulNumL && second >= kHangulV &&
        second < kHangulV + kHangulNumV) {
        return kHangulFirst +
               ((first - kHangulL) * kHangulNumV + (second - kHangulV)) * kHangulNumT;
    }
    if (first >= kHangulFirst && first < kHangulFirst + kHangulCount &&
        (first - kHangulFirst) % kHangulNumT == 0 && second > kHangulT &&
        second < kHangulT + kHangulNumT) {
        return first + (second - kHangulT);
    }
    const auto table = internal::compositions();
    const auto it =
        std::lower_bound(table.begin(),
                         table.end(),
                         std::pair(first, second),
                         [](const CharTriple& t, const std::pair<char32_t, char32_t>& key) {
                             return std::pair(t.first, t.second) < key;
                         });
    if (it == table.end() || it->first != first || it->second != second) return 0;
    return it->whole;
}

// Canonical ordering: runs of combining marks are sorted by class, stable.
void order_marks(std::u32string& text) {
    for (size_t i = 0; i < text.size();) {
        if (combining_class(text[i]) == 0) {
            ++i;
            continue;
        }
        size_t end = i;
        while (end < text.size() && combining_class(text[end]) != 0) ++end;
        std::stable_sort(
            text.begin() + static_cast<std::ptrdiff_t>(i),
            text.begin() + static_cast<std::ptrdiff_t>(end),
            [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
        i = end;
    }
}

// Length of the UTF-8 character that starts at text[0], judged by its lead byte; at least 1.
size_t lead_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return std::min(length, text.size());
}

}  // namespace

CharClass char_class(char32_t c) {
    if (c < 0x80) {
        if (c == ' ' || (c >= 9 && c <= 13)) return CharClass::kSpace;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharClass::kLetter;
        return c >= '0' && c <= '9' ? CharClass::kNumber : CharClass::kOther;
    }
    if (c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
        c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000) {
        return CharClass::kSpace;
    }
    switch (find_range(internal::letter_number_ranges(), c)) {
        case internal::kLetterValue: return CharClass::kLetter;
        case internal::kNumberValue: return CharClass::kNumber;
        default: return CharClass::kOther;
    }
}

bool is_python_space(char32_t c) {
    return (c >= 0x1C && c <= 0x1F) || char_class(c) == CharClass::kSpace;
}

std::optional<int> decimal_digit(char32_t c) {
    if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
    const CharPair* pair = find_pair(internal::decimal_digits(), c);
    if (pair == nullptr) return std::nullopt;
    return static_cast<int>(pair->to);
}

std::u32string to_lower(std::u32string_view text) {
    std::u32string out;
    out.reserve(text.size());
    for (const char32_t c : text) {
        if (c < 0x80) {
            out += c >= 'A' && c <= 'Z' ? c + 32 : c;
        } else if (c == 0x130) {
            out += U"i\u0307";  // the one character whose lower case has two
        } else {
            const CharPair* pair = find_pair(internal::lower_pairs(), c);
            out += pair == nullptr ? c : pair->to;
        }
    }
    return out;
}

std::u32string to_nfc(std::u32string_view text) {
    if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; })) {
        return std::u32string(text);
    }
    std::u32string full;
    full.reserve(text.size());
    for (const char32_t c : text) decompose(c, full);
    order_marks(full);

    std::u32string out;
    out.reserve(full.size());
    size_t starter = std::u32string::npos;
    uint32_t last_class = 0;  // class of the last character kept after the starter
    for (const char32_t c : full) {
        const uint32_t mark = combining_class(c);
        const bool adjacent = starter != std::u32string::npos && starter + 1 == out.size();
        const bool blocked = !adjacent && (last_class == 0 || last_class >= mark);
        if (starter != std::u32string::npos && !blocked) {
            if (const char32_t whole = compose(out[starter], c)) {
                out[starter] = whole;
                continue;
            }
        }
        if (mark == 0) starter = out.size();
        last_class = mark;
        out += c;
    }
    return out;
}

std::string_view strip(std::string_view utf8) {
    size_t begin = 0;
    while (begin < utf8.size()) {
        const size_t length = lead_length(utf8.substr(begin));
        const std::u32string c = utf8_to_utf32(utf8.substr(begin, length));
        if (c.size() != 1 || !is_python_space(c[0])) break;
        begin += length;
    }
    size_t end = utf8.size();
    while (end > begin) {
        size_t start = end - 1;
        while (start > begin && end - start < 4 &&
               (static_cast<unsigned char>(utf8[start]) & 0xC0) == 0x80) {
            --start;
        }
        const std::u32string c = utf8_to_utf32(utf8.substr(start, end - start));
        if (c.size() != 1 || !is_python_space(c[0])) break;
        end = start;
    }
    return utf8.substr(begin, end - begin);
}

std::string lower_utf8(std::string_view utf8) {
    return utf32_to_utf8(to_lower(utf8_to_utf32(utf8)));
}

}  // namespace lora::text
