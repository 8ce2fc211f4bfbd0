#include "base/hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/file.h"
#include "base/internal/sha256_blocks.h"

namespace lora {
namespace {

constexpr std::array<uint32_t, 8> kInitialState = {
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

}  // namespace

Sha256::Sha256() : state_(kInitialState) {}

void Sha256::blocks(const std::byte* data, size_t count) {
    static const bool kHasShaNi = detail::sha256_hardware_available();
    if (kHasShaNi) {
        detail::sha256_blocks_hardware(state_, data, count);
    } else {
        detail::sha256_blocks_portable(state_, data, count);
    }
}

void Sha256::update(std::span<const std::byte> bytes) {
    total_bytes_ += bytes.size();
    if (buffered_ > 0) {
        const size_t taken = std::min(bytes.size(), buffer_.size() - buffered_);
        std::copy_n(bytes.begin(), taken, buffer_.begin() + static_cast<std::ptrdiff_t>(buffered_));
        buffered_ += taken;
        bytes = bytes.subspan(taken);
        if (buffered_ < buffer_.size()) return;
        blocks(buffer_.data(), 1);
        buffered_ = 0;
    }
    const size_t whole = bytes.size() / buffer_.size();
    if (whole > 0) blocks(bytes.data(), whole);
    bytes = bytes.subspan(whole * buffer_.size());
    std::copy(bytes.begin(), bytes.end(), buffer_.begin());
    buffered_ = bytes.size();
}

void Sha256::update(std::string_view text) {
    update(std::as_bytes(std::span(text.data(), text.size())));
}

std::string Sha256::hex_digest() {
    const uint64_t total_bits = total_bytes_ * 8;
    std::array<std::byte, 72> padding{std::byte{0x80}};
    // One 0x80, zeros up to 56 modulo 64, then the length in bits, big-endian.
    const size_t zeros_end = buffered_ < 56 ? 56 - buffered_ : 120 - buffered_;
    for (size_t i = 0; i < 8; ++i)
        padding[zeros_end + i] = static_cast<std::byte>(total_bits >> (56 - 8 * i));
    update(std::span(padding).first(zeros_end + 8));
    LORA_CHECK(buffered_ == 0);

    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    for (const uint32_t word : state_) {
        for (int shift = 28; shift >= 0; shift -= 4) hex += kDigits[(word >> shift) & 0xFU];
    }
    return hex;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
    Sha256 hash;
    hash.update(bytes);
    return hash.hex_digest();
}

std::string sha256_file_hex(const std::string& path) {
    constexpr size_t kChunk = size_t{16} << 20;
    const MappedFile file(path);
    const std::span<const std::byte> bytes = file.bytes();
    Sha256 hash;
    for (size_t offset = 0; offset < bytes.size(); offset += kChunk) {
        hash.update(bytes.subspan(offset, std::min(kChunk, bytes.size() - offset)));
        file.release_pages(offset, kChunk);
    }
    return hash.hex_digest();
}

uint64_t fnv1a64(std::string_view text) {
    uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char c : text) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001B3ULL;
    }
    return hash;
}

}  // namespace lora
