// Zip archives whose entries are stored, not compressed. Used by npz_file.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora::data::internal {

struct ZipEntry {
    std::string name;
    std::span<const std::byte> bytes;  // inside the archive's bytes
};

// Every entry, sizes and CRC checked. Errors  kFormat: not a zip, compressed entries, ranges beyond
// the file, wrong CRC.
[[nodiscard]] std::vector<ZipEntry> list_zip(std::span<const std::byte> bytes,
                                             const std::string& what);

// Builds an archive in memory; entries carry the fixed date 1980-01-01.
class ZipWriter {
public:
    void add(std::string_view name, std::string_view bytes);
    // The whole archive; the writer is spent afterwards.
    [[nodiscard]] std::string finish();

private:
    std::string out_;
    std::string directory_;
    uint16_t num_entries_ = 0;
};

[[nodiscard]] uint32_t crc32(std::span<const std::byte> bytes);

}  // namespace lora::data::internal
