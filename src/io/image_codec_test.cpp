#include "io/image_codec.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "io/png.h"
#include "io/safetensors.h"

namespace lora::io {
namespace {

const std::string kFolder = LORA_SOURCE_DIR "/tests/golden/pictures";
constexpr DecodeOptions kAsKohya{.apply_exif = false, .composite_alpha = false};

struct Difference {
    int largest = 0;
    double mean = 0;
};

Difference difference(const Image& image, const TensorView& expected) {
    Difference result;
    for (size_t i = 0; i < image.rgb.size(); ++i) {
        const int d =
            std::abs(static_cast<int>(image.rgb[i]) - std::to_integer<int>(expected.bytes[i]));
        result.largest = std::max(result.largest, d);
        result.mean += static_cast<double>(d) / static_cast<double>(image.rgb.size());
    }
    return result;
}

// Decoders of lossy formats round differently; lossless pictures must be equal. Measured against
// Pillow 9.4 (libjpeg-turbo): JPEG at most 2, mean 0.015, or 0.12 where chroma has half the size.
Difference allowed(const std::string& name) {
    if (name == "rgb.jpg" || name == "progressive.jpg") return {3, 0.2};
    if (extension(name) == ".jpg") return {3, 0.03};
    if (name == "lossy.webp") return {1, 0.01};
    return {0, 0};
}

// What Pillow decoded, for every picture of the folder, with both settings.
TEST(ImageCodec, DecodesEveryKindAsPillowDoes) {
    const auto expected = SafetensorsFile::open(join_path(kFolder, "expected.safetensors"));
    EXPECT_EQ(expected.tensors().size(), 68U);
    for (const TensorInfo& info : expected.tensors()) {
        SCOPED_TRACE(info.name);
        const size_t colon = info.name.find(':');
        const std::string name = info.name.substr(0, colon);
        const std::string path = join_path(kFolder, name);
        const DecodeOptions options = colon == std::string::npos ? kAsKohya : DecodeOptions{};
        const Image image = read_image_file(path, options);
        EXPECT_EQ((Shape{image.height_px, image.width_px, 3}), info.shape);
        EXPECT_EQ(read_image_file_size(path, options),
                  (ImageSize{image.height_px, image.width_px}));
        ASSERT_EQ(image.rgb.size(), info.bytes);
        const Difference measured = difference(image, expected.view(info));
        RecordProperty(name, fmt::format("{} {:.3f}", measured.largest, measured.mean));
        EXPECT_LE(measured.largest, allowed(name).largest) << "mean " << measured.mean;
        EXPECT_LE(measured.mean, allowed(name).mean);
    }
}

Error error_of(std::string_view bytes, const DecodeOptions& options = {}) {
    try {
        static_cast<void>(
            decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())), "cat.png", options));
    } catch (const Error& error) {
        return error;
    }
    return Error(ErrorCode::kInternal, "no error");
}

TEST(ImageCodec, SaysWhatAFileIsThatIsNoPicture) {
    const Error text = error_of("1girl, solo\n");
    EXPECT_EQ(text.code(), ErrorCode::kData);
    EXPECT_NE(text.message().find("a text file"), std::string::npos);
    EXPECT_EQ(text.context().back(), "while reading picture cat.png");
    EXPECT_FALSE(text.hint().empty());
    EXPECT_NE(error_of("").message().find("empty"), std::string::npos);
    EXPECT_NE(error_of("GIF89a......").message().find("GIF"), std::string::npos);
    EXPECT_NE(error_of(std::string_view("\0\0\0\x1C"
                                        "ftypavif",
                                        12))
                  .message()
                  .find("AVIF"),
              std::string::npos);
    EXPECT_EQ(error_of("BM is how this text begins").code(), ErrorCode::kData);
    EXPECT_EQ(error_of(std::string_view("\x01\x02\0", 3)).code(), ErrorCode::kData);
}

// Cutting a file anywhere must be noticed, except behind the last thing the pixels need.
TEST(ImageCodec, NoticesCutFiles) {
    for (const char* name : {"rgb.png",
                             "rgb.jpg",
                             "progressive.jpg",
                             "lossless.webp",
                             "lossy.webp",
                             "rgb.bmp",
                             "palette.bmp"}) {
        const std::string whole = read_text_file(join_path(kFolder, name));
        ASSERT_EQ(error_of(whole).message(), "no error");
        for (size_t size = 0; size + 1 < whole.size(); ++size) {
            const Error error = error_of(std::string_view(whole).substr(0, size));
            if (extension(name) == ".bmp" || extension(name) == ".webp") {
                // The decoder may do without a few bytes of padding at the end.
                if (size + 4 >= whole.size()) continue;
            }
            ASSERT_EQ(error.code(), ErrorCode::kData)
                << name << " cut to " << size << ": " << error.message();
        }
    }
}

TEST(ImageCodec, NoticesFlippedBitsInPng) {
    const std::string whole = read_text_file(join_path(kFolder, "palette_alpha.png"));
    for (size_t i = 8; i < whole.size(); ++i) {
        std::string flipped = whole;
        flipped[i] = static_cast<char>(flipped[i] ^ 0x10);
        ASSERT_EQ(error_of(flipped).code(), ErrorCode::kData) << "byte " << i;
    }
}

TEST(ImageCodec, RefusesDecompressionBombs) {
    std::string bomb = read_text_file(join_path(kFolder, "rgb.png"));
    EXPECT_EQ(error_of(bomb, {.max_pixels = 100}).code(), ErrorCode::kData);
    bomb.replace(16, 8, std::string_view("\0\0\x40\0\0\0\x40\0", 8));  // 16384 x 16384
    EXPECT_NE(error_of(bomb).message().find("too little data"), std::string::npos);
    bomb.replace(16, 8, std::string_view("\x7F\xFF\xFF\xFF\x7F\xFF\xFF\xFF", 8));
    EXPECT_NE(error_of(bomb).message().find("the limit is"), std::string::npos);
    bomb.replace(16, 8, std::string_view("\0\0\0\0\0\0\0\x10", 8));
    EXPECT_EQ(error_of(bomb).code(), ErrorCode::kData);
}

TEST(ImageCodec, AMissingFileIsAnInputError) {
    try {
        static_cast<void>(read_image_file(join_path(kFolder, "absent.png")));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kIo);
    }
}

Image test_image(int64_t height, int64_t width) {
    Image image{height, width, {}};
    for (int64_t i = 0; i < height * width * 3; ++i) {
        // Flat, smooth and noisy parts, so that every filter is chosen somewhere.
        const double wave = 127 + 120 * std::sin(static_cast<double>(i) * 0.01);
        const int64_t noise = (i * 2654435761LL >> 13) & 0xFF;
        const int64_t kind = (i / (width * 3)) % 4;
        image.rgb.push_back(static_cast<uint8_t>(kind == 0   ? 200
                                                 : kind == 1 ? noise
                                                             : static_cast<int64_t>(wave)));
    }
    return image;
}

TEST(Png, WritesWhatIsReadBack) {
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 300}, {257, 1}, {64, 100}}) {
        const Image image = test_image(height, width);
        const PngText text = {{"parameters", "a cat, \xE7\x8C\xAB\nSteps: 20"},
                              {"Title", "plain\nASCII"}};
        const std::vector<std::byte> png = encode_png(image, text);
        const Image back = decode_image(png, "back");
        EXPECT_EQ(back.rgb, image.rgb);
        EXPECT_EQ(back.height_px, height);
        EXPECT_EQ(read_png_text(png), text);
    }
}

TEST(Png, WritesAsciiAsPlainText) {
    const std::vector<std::byte> png = encode_png(test_image(2, 2), {{"parameters", "a cat"}});
    const std::string_view bytes(reinterpret_cast<const char*>(png.data()), png.size());
    EXPECT_NE(bytes.find(std::string_view("tEXtparameters\0a cat", 20)), std::string_view::npos);
}

TEST(Png, ReadsTextOfOtherPrograms) {
    // zTXt and a compressed iTXt, made with Python's zlib; the checksums are not looked at here.
    const auto chunk = [](std::string_view type, const std::string& data) {
        std::string bytes = {0, 0, 0, static_cast<char>(data.size())};
        return bytes.append(type) + data + "crc!";
    };
    const std::string png = "\x89PNG\r\n\x1A\n" +
                            chunk("zTXt",
                                  std::string("k\x00"
                                              "\x00"
                                              "x\x9C"
                                              "KL\xC4"
                                              "\x0E"
                                              "\x00"
                                              "q\xC4"
                                              "\x09"
                                              "\x19"
                                              "",
                                              14)) +
                            chunk("iTXt",
                                  std::string("p\x00"
                                              "\x01"
                                              "\x00"
                                              "\x00"
                                              "\x00"
                                              "x\x9C"
                                              "{\xDE"
                                              "\xB3"
                                              "Z\xA1"
                                              "8\xB1"
                                              "\x04"
                                              "\x00"
                                              "\x10"
                                              "\x06"
                                              "\x03"
                                              "\x87"
                                              "",
                                              21)) +
                            chunk("tEXt", std::string("c\0caf\xE9", 6)) +
                            chunk("zTXt", std::string("broken\0\0xyz", 11)) + chunk("IEND", "");
    const auto text = read_png_text(std::as_bytes(std::span(png.data(), png.size())));
    EXPECT_EQ(text.at("k"), std::string(24, 'a'));
    EXPECT_EQ(text.at("p"), "\xE7\x8C\xAB sat");
    EXPECT_EQ(text.at("c"), "caf\xC3\xA9");
    EXPECT_EQ(text.at("broken"), "");
    EXPECT_THROW(static_cast<void>(read_png_text({})), Error);
}

TEST(Png, IsWrittenWholeOrNotAtAll) {
    const std::string path =
        join_path(from_path(std::filesystem::temp_directory_path()), "lora_png_test.png");
    write_png(path, test_image(5, 7), {});
    EXPECT_EQ(read_image_file(path).rgb, test_image(5, 7).rgb);
    remove_file_if_exists(path);
    EXPECT_THROW(write_png("/nowhere/at/all.png", test_image(1, 1)), Error);
}

TEST(ImageCodec, AlphaAloneIsAGreyPicture) {
    const Image alpha = read_image_file(kFolder + "/rgba.png", {.alpha_only = true});
    const Image dropped = read_image_file(kFolder + "/rgba.png", kAsKohya);
    const Image composed = read_image_file(kFolder + "/rgba.png", {});
    ASSERT_EQ(alpha.rgb.size(), dropped.rgb.size());
    int clear = 0;
    for (size_t i = 0; i < alpha.rgb.size(); ++i) {
        EXPECT_EQ(alpha.rgb[i], alpha.rgb[i / 3 * 3]);
        const int a = alpha.rgb[i];
        EXPECT_EQ(composed.rgb[i], (dropped.rgb[i] * a + 255 * (255 - a) + 127) / 255);
        clear += a < 255 ? 1 : 0;
    }
    EXPECT_GT(clear, 0);
    const Image opaque = read_image_file(kFolder + "/rgb.png", {.alpha_only = true});
    EXPECT_EQ(std::count(opaque.rgb.begin(), opaque.rgb.end(), 255),
              static_cast<std::ptrdiff_t>(opaque.rgb.size()));
}

}  // namespace
}  // namespace lora::io
