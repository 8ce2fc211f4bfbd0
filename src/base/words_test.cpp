#include "base/words.h"

#include <string>

#include <gtest/gtest.h>

#include "base/crc32.h"

namespace lora {
namespace {

using Pieces = std::vector<std::string_view>;

TEST(Words, NumbersAreWholeWords) {
    EXPECT_EQ(parse_number<int64_t>("-12"), -12);
    EXPECT_EQ(parse_number<double>("2.5e-1"), 0.25);
    for (const char* text : {"", " 1", "1 ", "1.5", "+1", "x", "99999999999999999999"}) {
        EXPECT_FALSE(parse_number<int64_t>(text).has_value()) << text;
    }
}

TEST(Words, TrimSplitLower) {
    EXPECT_EQ(trimmed(" \ta b\r\n"), "a b");
    EXPECT_EQ(trimmed("(1, 2)", " ()"), "1, 2");
    EXPECT_EQ(trimmed("  "), "");
    EXPECT_EQ(split("a,,b", ','), (Pieces{"a", "", "b"}));
    EXPECT_EQ(split("", ','), (Pieces{""}));
    EXPECT_EQ(split("a,", ','), (Pieces{"a", ""}));
    EXPECT_EQ(lower_ascii("AdamW8bit \xC3\x84"), "adamw8bit \xC3\x84");
}

TEST(Words, ReplaceAllLooksAtNothingTwice) {
    const auto replaced = [](std::string text, std::string_view from, std::string_view to) {
        replace_all(text, from, to);
        return text;
    };
    EXPECT_EQ(replaced("a--b---c", "--", "-"), "a-b--c");
    EXPECT_EQ(replaced("aa", "a", "aa"), "aaaa");
    EXPECT_EQ(replaced("{x} and {x}", "{x}", ""), " and ");
    EXPECT_EQ(replaced("as it is", "", "x"), "as it is");
}

// The check values of the catalogue of parametrised CRC algorithms.
TEST(Crc32, GivesTheCheckValues) {
    const std::string text = "123456789";
    const auto bytes = std::as_bytes(std::span(text));
    EXPECT_EQ(crc32(bytes), 0xCBF43926U);
    EXPECT_EQ(crc32c(bytes), 0xE3069283U);
    EXPECT_EQ(crc32(bytes.first(0)), 0U);
}

}  // namespace
}  // namespace lora
