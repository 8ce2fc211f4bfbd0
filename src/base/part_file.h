// A file that arrives in parts: kept under a name of its own until it is whole.
// Not for files written in one go (AtomicFile in file.h). Errors  Error{kIo} naming the path.
// Threads  one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lora {

// A file that grows over several runs under a name of its own and gets its final name when whole.
// What was written survives a kill, but for the last moments.
class PartFile {
public:
    // Continues the file of this name, or begins it.
    explicit PartFile(std::string path);
    ~PartFile();
    PartFile(const PartFile&) = delete;
    PartFile& operator=(const PartFile&) = delete;

    [[nodiscard]] uint64_t size_bytes() const;
    void write(std::span<const std::byte> bytes);
    // From the beginning again.
    void truncate();
    // Flushes to the device and closes; nothing can be written after.
    void close();
    // After close(): renames over `target`.
    void finish(const std::string& target);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lora
