#include "text/unicode.h"

#include <gtest/gtest.h>

namespace lora::text {
namespace {

TEST(Unicode, ClassesOfCharacters) {
    EXPECT_EQ(char_class(U'a'), CharClass::kLetter);
    EXPECT_EQ(char_class(U'日'), CharClass::kLetter);
    EXPECT_EQ(char_class(U'한'), CharClass::kLetter);
    EXPECT_EQ(char_class(0x20000), CharClass::kLetter);
    EXPECT_EQ(char_class(U'½'), CharClass::kNumber);
    EXPECT_EQ(char_class(U'²'), CharClass::kNumber);
    EXPECT_EQ(char_class(0x3000), CharClass::kSpace);
    EXPECT_EQ(char_class(0x200B), CharClass::kOther);
    EXPECT_EQ(char_class(0x301), CharClass::kOther);
    EXPECT_EQ(char_class(0x1F600), CharClass::kOther);
    EXPECT_EQ(char_class(0x10FFFF), CharClass::kOther);
}

TEST(Unicode, DecimalDigits) {
    EXPECT_EQ(decimal_digit(U'7'), 7);
    EXPECT_EQ(decimal_digit(0x663), 3);
    EXPECT_EQ(decimal_digit(0xFF12), 2);
    EXPECT_EQ(decimal_digit(U'²'), std::nullopt);
}

// Expected strings: the examples of UAX 15, figures 3 to 5 and its Hangul and exclusion rules.
TEST(Unicode, NormalizationFormC) {
    EXPECT_EQ(to_nfc(U"e\u0301"), U"\u00E9");
    EXPECT_EQ(to_nfc(U"\u212B"), U"\u00C5");
    EXPECT_EQ(to_nfc(U"\u2126"), U"\u03A9");
    EXPECT_EQ(to_nfc(U"s\u0307\u0323"), U"\u1E69");
    EXPECT_EQ(to_nfc(U"\u1E0B\u0323"), U"\u1E0D\u0307");
    EXPECT_EQ(to_nfc(U"q\u0307\u0323"), U"q\u0323\u0307");
    EXPECT_EQ(to_nfc(U"\u1112\u1161\u11AB"), U"\uD55C");
    EXPECT_EQ(to_nfc(U"\uD55C"), U"\uD55C");
    EXPECT_EQ(to_nfc(U"\u0958"), U"\u0915\u093C");
    EXPECT_EQ(to_nfc(U"\u0344"), U"\u0308\u0301");
    EXPECT_EQ(to_nfc(U"\uFB01"), U"\uFB01");
    EXPECT_EQ(to_nfc(U"a\u0315\u0300"), U"\u00E0\u0315");
}

TEST(Unicode, LowerCase) {
    EXPECT_EQ(to_lower(U"AbÜЖΣ"), U"abüжσ");
    EXPECT_EQ(to_lower(U"\u0130"), U"i\u0307");
    EXPECT_EQ(lower_utf8("ÜBER 1Girl"), "über 1girl");
}

TEST(Unicode, StripTakesWhatPythonTakes) {
    EXPECT_EQ(strip("  \t a b \r\n"), "a b");
    EXPECT_EQ(strip("\xE3\x80\x80padded\xE3\x80\x80"), "padded");
    EXPECT_EQ(strip("\x1C\xC2\xA0x\xC2\x85"), "x");
    EXPECT_EQ(strip("  "), "");
    EXPECT_EQ(strip("\xE2\x80\x8Bx"), "\xE2\x80\x8Bx");
    EXPECT_EQ(strip("\xFFx\xFF"), "\xFFx\xFF");
}

}  // namespace
}  // namespace lora::text
