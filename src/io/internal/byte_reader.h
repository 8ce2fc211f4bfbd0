// Checked reads at positions of a byte span; a read past the end gives nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lora::io {

class ByteReader {
public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    [[nodiscard]] size_t size() const { return bytes_.size(); }
    // Unsigned number of 1 to 4 bytes.
    [[nodiscard]] std::optional<uint32_t> big(size_t at, size_t count) const {
        return number(at, count, true);
    }
    [[nodiscard]] std::optional<uint32_t> little(size_t at, size_t count) const {
        return number(at, count, false);
    }
    // Whether the text stands at the position.
    [[nodiscard]] bool matches(size_t at, std::string_view text) const {
        if (at > bytes_.size() || text.size() > bytes_.size() - at) return false;
        return std::string_view(reinterpret_cast<const char*>(bytes_.data()) + at, text.size()) ==
               text;
    }
    // As many of the bytes as there are.
    [[nodiscard]] std::span<const std::byte> part(size_t at, size_t count) const {
        if (at > bytes_.size()) return {};
        return bytes_.subspan(at, count < bytes_.size() - at ? count : bytes_.size() - at);
    }

private:
    [[nodiscard]] std::optional<uint32_t> number(size_t at, size_t count, bool big_endian) const {
        if (at > bytes_.size() || count > bytes_.size() - at) return std::nullopt;
        uint32_t value = 0;
        for (size_t i = 0; i < count; ++i) {
            const size_t from = big_endian ? at + i : at + count - 1 - i;
            value = value << 8 | std::to_integer<uint32_t>(bytes_[from]);
        }
        return value;
    }

    std::span<const std::byte> bytes_;
};

}  // namespace lora::io
