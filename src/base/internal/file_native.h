// What differs between systems for base/file.cpp: one implementation in file_posix.cpp, one in
// file_windows.cpp. Paths are UTF-8. Errors  Error{kIo} naming the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lora::native {

enum class OutputMode {
    kNew,       // the file must not exist
    kContinue,  // written on at its end; made where it is absent
};

// A file opened for writing.
class OutputFile {
public:
    explicit OutputFile(const std::string& path, OutputMode mode = OutputMode::kNew);
    ~OutputFile();
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    void write(std::span<const std::byte> bytes);
    // Empties the file.
    void truncate();
    // Waits until the device has the bytes, then closes.
    void flush_and_close();
    void close() noexcept;

private:
    std::string path_;
    intptr_t handle_;
};

// Renames over an existing file and makes the new name durable.
void rename_over(const std::string& from, const std::string& to);
// Renames a folder to a name that is free.
void rename_directory(const std::string& from, const std::string& to);
// Creates one folder; false when something of that name exists already.
bool make_directory(const std::string& path);
void remove_file(const std::string& path) noexcept;
[[nodiscard]] uint64_t process_id();
// Longest file name the system takes, in bytes of UTF-8 (a safe lower bound on Windows).
inline constexpr size_t kMaxNameBytes = 250;

}  // namespace lora::native
