#include <array>
#include <string>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/utf8.h"

namespace lora {
namespace {

struct Case {
    TextEncoding encoding;
    std::string_view utf8;
    std::string_view bytes;
};

// Captions as people write them; the bytes were made with another program's encoders.
// clang-format off
constexpr std::array kCases = {
    Case{TextEncoding::kGbk, "红色头发",
     "\xBA\xEC\xC9\xAB\xCD\xB7\xB7\xA2"},
    Case{TextEncoding::kGbk, "女孩",
     "\xC5\xAE\xBA\xA2"},
    Case{TextEncoding::kGbk, "一个女孩，长发，蓝色眼睛，微笑",
     "\xD2\xBB\xB8\xF6\xC5\xAE\xBA\xA2\xA3\xAC\xB3\xA4\xB7\xA2\xA3\xAC\xC0\xB6\xC9\xAB\xD1\xDB\xBE\xA6\xA3\xAC\xCE\xA2\xD0\xA6"},
    Case{TextEncoding::kGbk, "1girl, 白色连衣裙, 站立, 看着观众",
     "1girl, \xB0\xD7\xC9\xAB\xC1\xAC\xD2\xC2\xC8\xB9, \xD5\xBE\xC1\xA2, \xBF\xB4\xD7\xC5\xB9\xDB\xD6\xDA"},
    Case{TextEncoding::kGbk, "水墨画风格，山水，云雾",
     "\xCB\xAE\xC4\xAB\xBB\xAD\xB7\xE7\xB8\xF1\xA3\xAC\xC9\xBD\xCB\xAE\xA3\xAC\xD4\xC6\xCE\xED"},
    Case{TextEncoding::kGbk, "机器人，未来城市，夜晚，霓虹灯",
     "\xBB\xFA\xC6\xF7\xC8\xCB\xA3\xAC\xCE\xB4\xC0\xB4\xB3\xC7\xCA\xD0\xA3\xAC\xD2\xB9\xCD\xED\xA3\xAC\xC4\xDE\xBA\xE7\xB5\xC6"},
    Case{TextEncoding::kGbk, "小猫坐在窗台上",
     "\xD0\xA1\xC3\xA8\xD7\xF8\xD4\xDA\xB4\xB0\xCC\xA8\xC9\xCF"},
    Case{TextEncoding::kGbk, "杰作，最佳质量，超高清",
     "\xBD\xDC\xD7\xF7\xA3\xAC\xD7\xEE\xBC\xD1\xD6\xCA\xC1\xBF\xA3\xAC\xB3\xAC\xB8\xDF\xC7\xE5"},
    Case{TextEncoding::kGbk, "双马尾, 校服, 樱花",
     "\xCB\xAB\xC2\xED\xCE\xB2, \xD0\xA3\xB7\xFE, \xD3\xA3\xBB\xA8"},
    Case{TextEncoding::kGbk, "穿着旗袍的少女",
     "\xB4\xA9\xD7\xC5\xC6\xEC\xC5\xDB\xB5\xC4\xC9\xD9\xC5\xAE"},
    Case{TextEncoding::kGbk, "戴眼镜的男人在读书",
     "\xB4\xF7\xD1\xDB\xBE\xB5\xB5\xC4\xC4\xD0\xC8\xCB\xD4\xDA\xB6\xC1\xCA\xE9"},
    Case{TextEncoding::kGbk, "金色的龙在天空飞翔",
     "\xBD\xF0\xC9\xAB\xB5\xC4\xC1\xFA\xD4\xDA\xCC\xEC\xBF\xD5\xB7\xC9\xCF\xE8"},
    Case{TextEncoding::kGbk, "我的角色",
     "\xCE\xD2\xB5\xC4\xBD\xC7\xC9\xAB"},
    Case{TextEncoding::kGbk, "佐恩",
     "\xD7\xF4\xB6\xF7"},
    Case{TextEncoding::kBig5, "紅色頭髮",
     "\xAC\xF5\xA6\xE2\xC0Y\xBEv"},
    Case{TextEncoding::kBig5, "女孩",
     "\xA4k\xAB\xC4"},
    Case{TextEncoding::kBig5, "一個女孩，長髮，藍色眼睛，微笑",
     "\xA4@\xAD\xD3\xA4k\xAB\xC4\xA1""A\xAA\xF8\xBEv\xA1""A\xC2\xC5\xA6\xE2\xB2\xB4\xB7\xFA\xA1""A\xB7L\xAF\xBA"},
    Case{TextEncoding::kBig5, "1girl, 白色連衣裙, 站立, 看著觀眾",
     "1girl, \xA5\xD5\xA6\xE2\xB3s\xA6\xE7\xB8\xC8, \xAF\xB8\xA5\xDF, \xAC\xDD\xB5\xDB\xC6[\xB2\xB3"},
    Case{TextEncoding::kBig5, "水墨畫風格，山水，雲霧",
     "\xA4\xF4\xBE\xA5\xB5""e\xAD\xB7\xAE\xE6\xA1""A\xA4s\xA4\xF4\xA1""A\xB6\xB3\xC3\xFA"},
    Case{TextEncoding::kBig5, "機器人，未來城市，夜晚，霓虹燈",
     "\xBE\xF7\xBE\xB9\xA4H\xA1""A\xA5\xBC\xA8\xD3\xAB\xB0\xA5\xAB\xA1""A\xA9]\xB1\xDF\xA1""A\xC0O\xADi\xBFO"},
    Case{TextEncoding::kBig5, "小貓坐在窗台上",
     "\xA4p\xBF\xDF\xA7\xA4\xA6""b\xB5\xA1\xA5x\xA4W"},
    Case{TextEncoding::kBig5, "傑作，最佳品質，超高清",
     "\xB3\xC7\xA7@\xA1""A\xB3\xCC\xA8\xCE\xAB~\xBD\xE8\xA1""A\xB6W\xB0\xAA\xB2M"},
    Case{TextEncoding::kBig5, "雙馬尾, 校服, 櫻花",
     "\xC2\xF9\xB0\xA8\xA7\xC0, \xAE\xD5\xAA""A, \xC4\xE5\xAA\xE1"},
    Case{TextEncoding::kBig5, "穿著旗袍的少女",
     "\xAC\xEF\xB5\xDB\xBAX\xB3T\xAA\xBA\xA4\xD6\xA4k"},
    Case{TextEncoding::kBig5, "戴眼鏡的男人在讀書",
     "\xC0\xB9\xB2\xB4\xC3\xE8\xAA\xBA\xA8k\xA4H\xA6""b\xC5\xAA\xAE\xD1"},
    Case{TextEncoding::kBig5, "金色的龍在天空飛翔",
     "\xAA\xF7\xA6\xE2\xAA\xBA\xC0s\xA6""b\xA4\xD1\xAA\xC5\xAD\xB8\xB5\xBE"},
    Case{TextEncoding::kBig5, "我的角色",
     "\xA7\xDA\xAA\xBA\xA8\xA4\xA6\xE2"},
    Case{TextEncoding::kBig5, "訓練圖片的說明文字",
     "\xB0V\xBDm\xB9\xCF\xA4\xF9\xAA\xBA\xBB\xA1\xA9\xFA\xA4\xE5\xA6r"},
    Case{TextEncoding::kShiftJis, "赤い髪",
     "\x90\xD4\x82\xA2\x94\xAF"},
    Case{TextEncoding::kShiftJis, "女の子",
     "\x8F\x97\x82\xCC\x8Eq"},
    Case{TextEncoding::kShiftJis, "少女、長い髪、青い目、笑顔",
     "\x8F\xAD\x8F\x97\x81""A\x92\xB7\x82\xA2\x94\xAF\x81""A\x90\xC2\x82\xA2\x96\xDA\x81""A\x8F\xCE\x8A\xE7"},
    Case{TextEncoding::kShiftJis, "1girl, 白いドレス, 立っている",
     "1girl, \x94\x92\x82\xA2\x83h\x83\x8C\x83X, \x97\xA7\x82\xC1\x82\xC4\x82\xA2\x82\xE9"},
    Case{TextEncoding::kShiftJis, "水彩画の風景",
     "\x90\x85\x8D\xCA\x89\xE6\x82\xCC\x95\x97\x8Ci"},
    Case{TextEncoding::kShiftJis, "ロボット、未来都市、夜",
     "\x83\x8D\x83{\x83""b\x83g\x81""A\x96\xA2\x97\x88\x93s\x8Es\x81""A\x96\xE9"},
    Case{TextEncoding::kShiftJis, "猫が窓辺に座っている",
     "\x94L\x82\xAA\x91\x8B\x95\xD3\x82\xC9\x8D\xC0\x82\xC1\x82\xC4\x82\xA2\x82\xE9"},
    Case{TextEncoding::kShiftJis, "最高品質、傑作",
     "\x8D\xC5\x8D\x82\x95i\x8E\xBF\x81""A\x8C\x86\x8D\xEC"},
    Case{TextEncoding::kShiftJis, "ツインテール, 制服, 桜",
     "\x83""c\x83""C\x83\x93\x83""e\x81[\x83\x8B, \x90\xA7\x95\x9E, \x8D\xF7"},
    Case{TextEncoding::kShiftJis, "着物を着た少女",
     "\x92\x85\x95\xA8\x82\xF0\x92\x85\x82\xBD\x8F\xAD\x8F\x97"},
    Case{TextEncoding::kShiftJis, "眼鏡をかけた男性",
     "\x8A\xE1\x8B\xBE\x82\xF0\x82\xA9\x82\xAF\x82\xBD\x92j\x90\xAB"},
    Case{TextEncoding::kShiftJis, "金色の竜が空を飛ぶ",
     "\x8B\xE0\x90""F\x82\xCC\x97\xB3\x82\xAA\x8B\xF3\x82\xF0\x94\xF2\x82\xD4"},
    Case{TextEncoding::kShiftJis, "黒髪",
     "\x8D\x95\x94\xAF"},
    Case{TextEncoding::kShiftJis, "アニメ調の絵",
     "\x83""A\x83j\x83\x81\x92\xB2\x82\xCC\x8AG"},

};
// clang-format on

std::string utf16(std::string_view utf8, bool big_endian) {
    std::string bytes;
    const auto put = [&](char32_t unit) {
        const char low = static_cast<char>(unit & 0xFFU);
        const char high = static_cast<char>((unit >> 8) & 0xFFU);
        bytes += big_endian ? high : low;
        bytes += big_endian ? low : high;
    };
    for (const char32_t c : utf8_to_utf32(utf8)) {
        if (c < 0x10000) {
            put(c);
        } else {
            put(0xD800 + ((c - 0x10000) >> 10));
            put(0xDC00 + ((c - 0x10000) & 0x3FFU));
        }
    }
    return bytes;
}

TEST(DecodeText, TellsTheEastAsianEncodingsApart) {
    for (const Case& item : kCases) {
        const DecodedText text = decode_text(item.bytes);
        EXPECT_EQ(text.utf8, item.utf8);
        EXPECT_EQ(encoding_name(text.encoding), encoding_name(item.encoding)) << item.utf8;
    }
}

TEST(DecodeText, TakesUtf8AsItIs) {
    for (const Case& item : kCases) {
        const DecodedText text = decode_text(item.utf8);
        EXPECT_EQ(text.utf8, item.utf8);
        EXPECT_EQ(text.encoding, TextEncoding::kUtf8);
        const DecodedText marked = decode_text("\xEF\xBB\xBF" + std::string(item.utf8));
        EXPECT_EQ(marked.utf8, item.utf8);
        EXPECT_EQ(marked.encoding, TextEncoding::kUtf8);
    }
    EXPECT_EQ(decode_text("").utf8, "");
    EXPECT_EQ(decode_text("").encoding, TextEncoding::kUtf8);
}

TEST(DecodeText, ReadsUtf16WithAMark) {
    for (const Case& item : kCases) {
        const DecodedText little = decode_text("\xFF\xFE" + utf16(item.utf8, false));
        EXPECT_EQ(little.utf8, item.utf8);
        EXPECT_EQ(little.encoding, TextEncoding::kUtf16Le);
        const DecodedText big = decode_text("\xFE\xFF" + utf16(item.utf8, true));
        EXPECT_EQ(big.utf8, item.utf8);
        EXPECT_EQ(big.encoding, TextEncoding::kUtf16Be);
    }
    EXPECT_EQ(decode_text("\xFF\xFE" + utf16("\xF0\x9F\x98\x80", false)).utf8, "\xF0\x9F\x98\x80");
}

TEST(DecodeText, ReadsUtf16WithoutAMark) {
    for (const std::string_view utf8 :
         {"1girl, solo",
          "1girl, \xE7\xBA\xA2\xE8\x89\xB2, smile",
          "a\nb",
          "\xE7\xBA\xA2\xE8\x89\xB2\xE5\xA4\xB4\xE5\x8F\x91, \xE4\xB8\x80"}) {
        EXPECT_EQ(decode_text(utf16(utf8, false)).utf8, utf8);
        EXPECT_EQ(decode_text(utf16(utf8, false)).encoding, TextEncoding::kUtf16Le);
        EXPECT_EQ(decode_text(utf16(utf8, true)).utf8, utf8);
        EXPECT_EQ(decode_text(utf16(utf8, true)).encoding, TextEncoding::kUtf16Be);
    }
}

TEST(DecodeText, KeepsWhatIsWholeOfBrokenUtf8) {
    // Cut in the middle of the last character.
    const DecodedText cut = decode_text("\xE7\xBA\xA2\xE8\x89\xB2\xE5\xA4");
    EXPECT_EQ(cut.encoding, TextEncoding::kBrokenUtf8);
    EXPECT_EQ(cut.utf8, "\xE7\xBA\xA2\xE8\x89\xB2\xEF\xBF\xBD");
    const DecodedText latin = decode_text("caf\xE9, 1girl");
    EXPECT_EQ(latin.encoding, TextEncoding::kBrokenUtf8);
    EXPECT_EQ(latin.utf8, "caf\xEF\xBF\xBD, 1girl");
    const DecodedText alone = decode_text("\xFF");
    EXPECT_EQ(alone.encoding, TextEncoding::kBrokenUtf8);
    EXPECT_EQ(decode_text("\xFF\xFE"
                          "a")
                  .utf8,
              "\xEF\xBF\xBD");  // half a unit
}

TEST(DecodeText, NeverFailsAndAlwaysGivesUtf8) {
    const uint64_t seed = 20240607;
    Rng rng(seed);
    for (int round = 0; round < 20000; ++round) {
        std::string bytes(rng.below(24), '\0');
        for (char& c : bytes) {
            const uint64_t kind = rng.below(4);
            c = static_cast<char>(kind == 0 ? rng.below(128) : 128 + rng.below(128));
        }
        ASSERT_TRUE(is_valid_utf8(decode_text(bytes).utf8))
            << "seed " << seed << " round " << round;
    }
}

TEST(Utf8, RefusesEveryBrokenForm) {
    EXPECT_TRUE(is_valid_utf8("a\xC2\x80\xE0\xA0\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
    for (const std::string_view broken : {"\x80",
                                          "\xC0\x80",
                                          "\xC1\xBF",
                                          "\xC2",
                                          "\xE0\x9F\xBF",
                                          "\xED\xA0\x80",
                                          "\xE4\xB8",
                                          "\xF0\x8F\xBF\xBF",
                                          "\xF4\x90\x80\x80",
                                          "\xF5\x80\x80\x80",
                                          "\xFF"}) {
        EXPECT_FALSE(is_valid_utf8(broken));
        EXPECT_TRUE(is_valid_utf8(utf32_to_utf8(utf8_to_utf32(broken))));
    }
    // The bytes after a broken beginning are looked at again.
    EXPECT_EQ(utf8_to_utf32("\xE4\xB8x"), U"\uFFFDx");
}

TEST(Utf8, RoundTripsEveryCodePoint) {
    for (char32_t c = 0; c <= 0x10FFFF; ++c) {
        if (c >= 0xD800 && c < 0xE000) continue;
        const std::u32string one(1, c);
        const std::string utf8 = utf32_to_utf8(one);
        ASSERT_TRUE(is_valid_utf8(utf8));
        ASSERT_EQ(utf8_to_utf32(utf8), one);
        ASSERT_EQ(wide_to_utf8(utf8_to_wide(utf8)), utf8);
    }
    EXPECT_EQ(utf32_to_utf8(std::u32string(1, static_cast<char32_t>(0x110000))), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace lora
