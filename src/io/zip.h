// Zip archives whose entries are stored, not compressed: what numpy's .npz and PyTorch's .ckpt and
// .pt files are. Reads archives beyond 4 GiB too (zip64), writes smaller ones. Source   PKWARE
// APPNOTE 6.3.10.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora::io {

struct ZipEntry {
    std::string name;
    std::span<const std::byte> bytes;  // inside the archive's bytes
};

// Every entry. `max_crc_bytes`: checksums of larger entries are not computed, they are the weights
// of models, which nothing else in their files protects either. Errors  kFormat: not a zip,
// compressed entries, ranges beyond the file, wrong checksum.
[[nodiscard]] std::vector<ZipEntry> list_zip(std::span<const std::byte> bytes,
                                             const std::string& what,
                                             size_t max_crc_bytes = SIZE_MAX);

// Builds an archive in memory; entries carry the fixed date 1980-01-01.
class ZipWriter {
public:
    void add(std::string_view name, std::string_view bytes);
    // What was built since the last call, for archives that are written while they grow.
    [[nodiscard]] std::string take();
    // The whole archive, or what take() has not given yet; the writer is spent afterwards.
    [[nodiscard]] std::string finish();

private:
    std::string out_;
    uint64_t taken_ = 0;
    std::string directory_;
    uint16_t num_entries_ = 0;
};

}  // namespace lora::io
