#include "io/zip.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/crc32.h"
#include "base/error.h"

namespace lora::io {

namespace {

constexpr uint32_t kLocalSignature = 0x04034B50;
constexpr uint32_t kCentralSignature = 0x02014B50;
constexpr uint32_t kEndSignature = 0x06054B50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr uint64_t kMaxEntries = 65536;
constexpr uint32_t kEnd64Signature = 0x06064B50;
constexpr uint32_t kLocator64Signature = 0x07064B50;
constexpr size_t kLocator64Bytes = 20;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the true value stands in the zip64 record
constexpr uint16_t kDate1980 = 0x21;    // 1 January 1980

[[noreturn]] void fail(const std::string& what, std::string_view why) {
    throw Error(ErrorCode::kFormat, fmt::format("{} is not a readable zip archive: {}", what, why));
}

// Little-endian integers inside a byte range; every access is checked.
class Reader {
public:
    Reader(std::span<const std::byte> bytes, const std::string& what)
        : bytes_(bytes), what_(what) {}

    [[nodiscard]] uint32_t u16(size_t at) const { return static_cast<uint32_t>(integer(at, 2)); }
    [[nodiscard]] uint32_t u32(size_t at) const { return static_cast<uint32_t>(integer(at, 4)); }
    [[nodiscard]] uint64_t u64(size_t at) const { return integer(at, 8); }
    [[nodiscard]] std::span<const std::byte> range(size_t at, size_t size) const {
        if (at > bytes_.size() || size > bytes_.size() - at)
            fail(what_, "a range lies beyond the end");
        return bytes_.subspan(at, size);
    }

private:
    [[nodiscard]] uint64_t integer(size_t at, size_t size) const {
        uint64_t value = 0;
        const auto part = range(at, size);
        for (size_t i = size; i > 0; --i)
            value = value << 8U | std::to_integer<uint64_t>(part[i - 1]);
        return value;
    }

    std::span<const std::byte> bytes_;
    const std::string& what_;
};

size_t find_end_record(std::span<const std::byte> bytes,
                       const Reader& reader,
                       const std::string& what) {
    constexpr size_t kMaxComment = 65535;
    if (bytes.size() < kEndBytes) fail(what, "too short");
    const size_t last = bytes.size() - kEndBytes;
    for (size_t back = 0; back <= std::min(last, kMaxComment); ++back) {
        if (reader.u32(last - back) == kEndSignature) return last - back;
    }
    fail(what, "no zip directory");
}

void put16(std::string& out, uint32_t value) {
    out += static_cast<char>(value & 0xFFU);
    out += static_cast<char>(value >> 8U & 0xFFU);
}

void put32(std::string& out, uint32_t value) {
    put16(out, value & 0xFFFFU);
    put16(out, value >> 16U);
}

// The fields that local and central headers share.
void put_common(std::string& out, std::string_view name, uint32_t crc, uint32_t size) {
    put16(out, 20);  // version needed
    put16(out, 0);   // flags
    put16(out, 0);   // stored
    put16(out, 0);   // time
    put16(out, kDate1980);
    put32(out, crc);
    put32(out, size);
    put32(out, size);
    put16(out, narrow<uint16_t>(name.size()));
    put16(out, 0);  // extra field
}

}  // namespace

namespace {

struct Directory {
    uint64_t count = 0;
    uint64_t at = 0;
};

Directory find_directory(std::span<const std::byte> bytes,
                         const Reader& reader,
                         const std::string& what) {
    const size_t end = find_end_record(bytes, reader, what);
    Directory directory{reader.u16(end + 10), reader.u32(end + 16)};
    const bool has_locator =
        end >= kLocator64Bytes && reader.u32(end - kLocator64Bytes) == kLocator64Signature;
    if (has_locator) {
        const uint64_t record = reader.u64(end - kLocator64Bytes + 8);
        if (record > bytes.size() || reader.u32(record) != kEnd64Signature) {
            fail(what, "its zip64 record is damaged");
        }
        directory = {reader.u64(record + 32), reader.u64(record + 48)};
    }
    if (directory.count > kMaxEntries) fail(what, "too many entries");
    if (directory.at > bytes.size()) fail(what, "a range lies beyond the end");
    return directory;
}

struct EntrySizes {
    uint64_t packed = 0;
    uint64_t size = 0;
    uint64_t local = 0;
};

// Sizes of the directory entry at `at`; those that do not fit 32 bits stand in its extra field, in
// this order.
EntrySizes entry_sizes(const Reader& reader, size_t at, const std::string& what) {
    EntrySizes sizes{reader.u32(at + 20), reader.u32(at + 24), reader.u32(at + 42)};
    if (sizes.size != kIn64 && sizes.packed != kIn64 && sizes.local != kIn64) return sizes;
    size_t extra = at + kCentralBytes + reader.u16(at + 28);
    const size_t end = extra + reader.u16(at + 30);
    while (extra + 4 <= end) {
        const size_t field_end = extra + 4 + reader.u16(extra + 2);
        if (reader.u16(extra) != 1) {
            extra = field_end;
            continue;
        }
        extra += 4;
        for (uint64_t* value : {&sizes.size, &sizes.packed, &sizes.local}) {
            if (*value != kIn64) continue;
            if (extra + 8 > field_end) fail(what, "a zip64 field is cut short");
            *value = reader.u64(extra);
            extra += 8;
        }
        return sizes;
    }
    fail(what, "a zip64 field is missing");
}

}  // namespace

std::vector<ZipEntry> list_zip(std::span<const std::byte> bytes,
                               const std::string& what,
                               size_t max_crc_bytes) {
    const Reader reader(bytes, what);
    const Directory directory = find_directory(bytes, reader, what);
    size_t at = directory.at;
    std::vector<ZipEntry> entries;
    for (uint64_t i = 0; i < directory.count; ++i) {
        if (reader.u32(at) != kCentralSignature) fail(what, "a directory entry is damaged");
        const uint32_t method = reader.u16(at + 10);
        const uint32_t crc = reader.u32(at + 16);
        const size_t name_bytes = reader.u16(at + 28);
        const EntrySizes sizes = entry_sizes(reader, at, what);
        if (method != 0 || sizes.packed != sizes.size) fail(what, "its entries are compressed");
        const auto name = reader.range(at + kCentralBytes, name_bytes);
        // The local header's own name and extra field lie before the data.
        const size_t local = sizes.local;
        if (local > bytes.size() || reader.u32(local) != kLocalSignature) {
            fail(what, "an entry's header is damaged");
        }
        const size_t data = local + kLocalBytes + reader.u16(local + 26) + reader.u16(local + 28);
        ZipEntry entry;
        entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
        entry.bytes = reader.range(data, sizes.size);
        if (sizes.size <= max_crc_bytes && crc32(entry.bytes) != crc) {
            fail(what, "a checksum does not match");
        }
        entries.push_back(std::move(entry));
        at += kCentralBytes + name_bytes + reader.u16(at + 30) + reader.u16(at + 32);
    }
    return entries;
}

void ZipWriter::add(std::string_view name, std::string_view bytes) {
    const uint32_t crc = crc32(std::as_bytes(std::span(bytes)));
    const auto size = narrow<uint32_t>(bytes.size());
    const auto offset = narrow<uint32_t>(taken_ + out_.size());
    put32(out_, kLocalSignature);
    put_common(out_, name, crc, size);
    out_ += name;
    out_ += bytes;

    put32(directory_, kCentralSignature);
    put16(directory_, 20);  // version made by
    put_common(directory_, name, crc, size);
    put16(directory_, 0);  // comment
    put16(directory_, 0);  // disk
    put16(directory_, 0);  // internal attributes
    put32(directory_, 0);  // external attributes
    put32(directory_, offset);
    directory_ += name;
    ++num_entries_;
}

std::string ZipWriter::take() {
    taken_ += out_.size();
    return std::exchange(out_, {});
}

std::string ZipWriter::finish() {
    const auto start = narrow<uint32_t>(taken_ + out_.size());
    out_ += directory_;
    put32(out_, kEndSignature);
    put16(out_, 0);
    put16(out_, 0);
    put16(out_, num_entries_);
    put16(out_, num_entries_);
    put32(out_, narrow<uint32_t>(directory_.size()));
    put32(out_, start);
    put16(out_, 0);
    return std::move(out_);
}

}  // namespace lora::io
