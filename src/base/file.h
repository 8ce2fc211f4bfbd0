// Files: reading whole, mapping, and writing so that a name only ever shows a complete file.
// Paths are UTF-8 std::string inside the program; on Windows they become wide, with the long-path
// prefix where needed. Errors  Error{kIo} naming the path and the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// UTF-8 text to a filesystem path and back; the only place where paths change form.
[[nodiscard]] std::filesystem::path to_path(std::string_view utf8);
[[nodiscard]] std::string from_path(const std::filesystem::path& path);

[[nodiscard]] std::string read_text_file(const std::string& path);
[[nodiscard]] std::vector<std::byte> read_binary_file(const std::string& path);
[[nodiscard]] bool path_exists(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);
[[nodiscard]] uint64_t file_size_bytes(const std::string& path);
// Bytes that may still be written on the disk of an existing folder.
[[nodiscard]] uint64_t free_disk_bytes(const std::string& directory);
void make_directories(const std::string& path);
void remove_file_if_exists(const std::string& path);
// Joins with '/', base name, folder part, extension with dot ("" if none): UTF-8 in and out;
// both slashes are understood.
[[nodiscard]] std::string join_path(std::string_view folder, std::string_view name);
[[nodiscard]] std::string base_name(std::string_view path);
[[nodiscard]] std::string parent_path(std::string_view path);
[[nodiscard]] std::string extension(std::string_view path);
[[nodiscard]] std::string without_extension(std::string_view path);

// Whether AtomicFile may have begun the first for the second; both are base names.
[[nodiscard]] bool is_temporary_of(std::string_view name, std::string_view target);

struct DirectoryEntry {
    std::string name;  // base name, UTF-8
    bool is_directory = false;
    uint64_t size_bytes = 0;
};
// Direct children sorted by name bytewise; broken links are left out.
[[nodiscard]] std::vector<DirectoryEntry> list_directory(const std::string& path);

// The folder that holds the running program (UTF-8); of a package its topmost one.
[[nodiscard]] std::string program_folder();

// A read-only mapping of a whole file. Movable.
// Threads  safe to read from many threads.
class MappedFile {
public:
    explicit MappedFile(const std::string& path);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    [[nodiscard]] std::span<const std::byte> bytes() const;
    [[nodiscard]] const std::string& path() const { return path_; }
    // Tells the system that the range was read and its pages may go.
    void release_pages(size_t offset, size_t size) const;

private:
    struct Impl;
    std::string path_;
    std::unique_ptr<Impl> impl_;
};

// Writes beside the target (`<name>.tmp-<pid>-<n>`), flushes to disk, renames on commit().
// Without commit() the temporary file is removed and the target stays as it was.
class AtomicFile {
public:
    explicit AtomicFile(std::string path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text);
    // Flushes to the device and renames over the target. At most once.
    void commit();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

void write_file_atomically(const std::string& path, std::string_view text);
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);

// Renames a finished folder over `to`; an existing `to` is moved away first and removed after.
void replace_directory(const std::string& from, const std::string& to);
// Removes a folder and everything in it; nothing happens if it is absent.
void remove_directory(const std::string& path);

}  // namespace lora
