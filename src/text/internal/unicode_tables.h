// Tables written by gen/make_unicode_tables.cpp from Unicode's character data while building.
// Every table is sorted by its first column.
#pragma once

#include <cstdint>
#include <span>

namespace lora::text::internal {

// Code points first..last have the value: a general class, or a combining class.
struct CharRange {
    char32_t first = 0;
    char32_t last = 0;
    uint32_t value = 0;
};
inline constexpr uint32_t kLetterValue = 1;
inline constexpr uint32_t kNumberValue = 2;

struct CharPair {
    char32_t from = 0;
    char32_t to = 0;
};

// whole = first + second; second is 0 for a decomposition into one character.
struct CharTriple {
    char32_t whole = 0;
    char32_t first = 0;
    char32_t second = 0;
};

[[nodiscard]] std::span<const CharRange> letter_number_ranges();
[[nodiscard]] std::span<const CharRange> combining_ranges();
// from = code point of a decimal digit, to = its value 0..9.
[[nodiscard]] std::span<const CharPair> decimal_digits();
[[nodiscard]] std::span<const CharPair> lower_pairs();
[[nodiscard]] std::span<const CharTriple> decompositions();
// Sorted by (first, second); excluded compositions are left out.
[[nodiscard]] std::span<const CharTriple> compositions();

}  // namespace lora::text::internal
