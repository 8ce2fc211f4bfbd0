#include "io/png.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string_view>

#include "base/check.h"
#include "base/crc32.h"
#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "io/internal/pixels.h"
#include "io/internal/png_chunks.h"

// clang-format off
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop
// clang-format on

namespace lora::io {
namespace {

constexpr size_t kChannels = 3;
constexpr size_t kMaxTextBytes = size_t{4} << 20;

void append(std::vector<std::byte>& dst, std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    dst.insert(dst.end(), bytes.begin(), bytes.end());
}

void append_big(std::vector<std::byte>& dst, uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8)
        dst.push_back(static_cast<std::byte>(value >> shift));
}

void append_chunk(std::vector<std::byte>& dst,
                  std::string_view type,
                  std::span<const std::byte> data) {
    append_big(dst, narrow<uint32_t>(data.size()));
    const size_t start = dst.size();
    append(dst, type);
    dst.insert(dst.end(), data.begin(), data.end());
    append_big(dst, crc32(std::span(dst).subspan(start)));
}

// One row under filter 0..4 (none, left, above, average, Paeth).
void filter_row(int filter,
                std::span<const uint8_t> row,
                std::span<const uint8_t> above,
                std::span<uint8_t> dst) {
    for (size_t i = 0; i < row.size(); ++i) {
        const int left = i >= kChannels ? row[i - kChannels] : 0;
        const int up = above.empty() ? 0 : above[i];
        const int corner = above.empty() || i < kChannels ? 0 : above[i - kChannels];
        int predicted = 0;
        switch (filter) {
            case 1: predicted = left; break;
            case 2: predicted = up; break;
            case 3: predicted = (left + up) / 2; break;
            case 4: {
                const int estimate = left + up - corner;
                const int to_left = std::abs(estimate - left);
                const int to_up = std::abs(estimate - up);
                const int to_corner = std::abs(estimate - corner);
                predicted = to_left <= to_up && to_left <= to_corner ? left
                            : to_up <= to_corner                     ? up
                                                                     : corner;
                break;
            }
            default: break;
        }
        dst[i] = static_cast<uint8_t>(row[i] - predicted);
    }
}

// Rows with their filter byte; each row takes the filter with the smallest sum of differences.
std::vector<uint8_t> filtered_rows(const Image& image) {
    const size_t stride = static_cast<size_t>(image.width_px) * kChannels;
    std::vector<uint8_t> result;
    result.reserve((stride + 1) * static_cast<size_t>(image.height_px));
    std::vector<uint8_t> candidate(stride);
    std::vector<uint8_t> best(stride);
    for (size_t y = 0; y < static_cast<size_t>(image.height_px); ++y) {
        const std::span<const uint8_t> row(&image.rgb[y * stride], stride);
        const std::span<const uint8_t> above =
            y == 0 ? std::span<const uint8_t>()
                   : std::span<const uint8_t>(&image.rgb[(y - 1) * stride], stride);
        uint64_t best_sum = std::numeric_limits<uint64_t>::max();
        int best_filter = 0;
        for (int filter = 0; filter < 5; ++filter) {
            filter_row(filter, row, above, candidate);
            uint64_t sum = 0;
            for (const uint8_t value : candidate) sum += value < 128 ? value : 256U - value;
            if (sum >= best_sum) continue;
            best_sum = sum;
            best_filter = filter;
            best.swap(candidate);
        }
        result.push_back(static_cast<uint8_t>(best_filter));
        result.insert(result.end(), best.begin(), best.end());
    }
    return result;
}

std::vector<std::byte> compressed(std::vector<uint8_t> raw) {
    constexpr int kEffort = 8;
    int size = 0;
    const std::unique_ptr<unsigned char, void (*)(void*)> data(
        stbi_zlib_compress(raw.data(), narrow<int>(raw.size()), &size, kEffort), std::free);
    if (data == nullptr) throw Error(ErrorCode::kOutOfMemory, "no memory left to write a PNG");
    const auto* bytes = reinterpret_cast<const std::byte*>(data.get());
    return {bytes, bytes + size};
}

void append_text_chunk(std::vector<std::byte>& dst,
                       const std::string& keyword,
                       const std::string& text) {
    const bool is_printable =
        std::all_of(keyword.begin(), keyword.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    LORA_CHECK(!keyword.empty() && keyword.size() < 80 && is_printable, "PNG keyword " + keyword);
    const bool is_ascii = std::all_of(
        text.begin(), text.end(), [](char c) { return (c >= 0x20 && c < 0x7F) || c == '\n'; });
    std::vector<std::byte> data;
    append(data, keyword);
    if (is_ascii) {
        append(data, std::string_view("\0", 1));
        append(data, text);
        append_chunk(dst, "tEXt", data);
        return;
    }
    // No compression, no language, no translated keyword; zero bytes would end the text.
    append(data, std::string_view("\0\0\0\0\0", 5));
    std::string clean = utf32_to_utf8(utf8_to_utf32(text));
    std::erase(clean, '\0');
    append(data, clean);
    append_chunk(dst, "iTXt", data);
}

std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string latin1_to_utf8(std::string_view text) {
    std::u32string points;
    for (const char c : text) points += static_cast<unsigned char>(c);
    return utf32_to_utf8(points);
}

std::string inflated(std::string_view data) {
    const std::vector<std::byte> bytes =
        inflate_zlib(std::as_bytes(std::span(data.data(), data.size())), kMaxTextBytes);
    return std::string(as_text(bytes));
}

// Cuts the text up to the next zero byte off; false when there is none.
bool take_until_zero(std::string_view& rest, std::string_view& piece) {
    const size_t zero = rest.find('\0');
    if (zero == std::string_view::npos) return false;
    piece = rest.substr(0, zero);
    rest.remove_prefix(zero + 1);
    return true;
}

void read_text_chunk(const PngChunk& chunk, PngText& result) {
    std::string_view rest = as_text(chunk.data);
    std::string_view keyword;
    if (!take_until_zero(rest, keyword) || keyword.empty()) return;
    const std::string key = latin1_to_utf8(keyword);
    if (chunk.type == "tEXt" && rest.size() <= kMaxTextBytes) result[key] = latin1_to_utf8(rest);
    if (chunk.type == "zTXt" && rest.starts_with('\0'))
        result[key] = latin1_to_utf8(inflated(rest.substr(1)));
    if (chunk.type == "iTXt" && rest.size() >= 2) {
        const bool is_compressed = rest[0] != 0;
        rest.remove_prefix(2);
        std::string_view language;
        std::string_view translated;
        if (!take_until_zero(rest, language) || !take_until_zero(rest, translated)) return;
        if (rest.size() > kMaxTextBytes) return;
        const std::string text = is_compressed ? inflated(rest) : std::string(rest);
        result[key] = utf32_to_utf8(utf8_to_utf32(text));
    }
}

}  // namespace

std::vector<std::byte> encode_png(const Image& image, const PngText& text) {
    LORA_CHECK(image.height_px > 0 && image.width_px > 0);
    LORA_CHECK(image.rgb.size() ==
               static_cast<size_t>(image.height_px * image.width_px) * kChannels);
    std::vector<std::byte> png;
    append(png, kPngSignature);
    std::vector<std::byte> header;
    append_big(header, narrow<uint32_t>(image.width_px));
    append_big(header, narrow<uint32_t>(image.height_px));
    // 8 bits, RGB, deflate, adaptive filters, not interlaced.
    append(header, std::string_view("\x08\x02\x00\x00\x00", 5));
    append_chunk(png, "IHDR", header);
    for (const auto& [keyword, value] : text) append_text_chunk(png, keyword, value);
    append_chunk(png, "IDAT", compressed(filtered_rows(image)));
    append_chunk(png, "IEND", {});
    return png;
}

void write_png(const std::string& path, const Image& image, const PngText& text) {
    write_file_atomically(path, encode_png(image, text));
}

PngText read_png_text(std::span<const std::byte> bytes) {
    if (!as_text(bytes).starts_with(kPngSignature)) {
        throw Error(ErrorCode::kData, "not a PNG picture");
    }
    PngText result;
    for_each_png_chunk(bytes, [&result](const PngChunk& chunk) {
        if (chunk.type == "tEXt" || chunk.type == "zTXt" || chunk.type == "iTXt")
            read_text_chunk(chunk, result);
        return true;
    });
    return result;
}

}  // namespace lora::io
