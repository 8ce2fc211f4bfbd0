// Hashes: SHA-256 (file identity as kohya writes it) and FNV-1a 64 (cache keys, the hash model).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lora {

// Incremental SHA-256 (FIPS 180-4).
class Sha256 {
public:
    Sha256();
    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);
    // Lower-case hex, 64 digits. The object is spent afterwards.
    [[nodiscard]] std::string hex_digest();

private:
    void blocks(const std::byte* data, size_t count);
    std::array<uint32_t, 8> state_;
    std::array<std::byte, 64> buffer_{};
    size_t buffered_ = 0;
    uint64_t total_bytes_ = 0;
};

[[nodiscard]] std::string sha256_hex(std::span<const std::byte> bytes);
[[nodiscard]] std::string sha256_file_hex(const std::string& path);
[[nodiscard]] uint64_t fnv1a64(std::string_view text);

}  // namespace lora
