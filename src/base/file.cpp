#include "base/file.h"

#include <atomic>
#include <filesystem>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/internal/file_native.h"

namespace lora {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;

// Configurations written on Windows carry backslashes, so both count everywhere.
bool is_slash(char c) { return c == '/' || c == '\\'; }

size_t last_slash(std::string_view path) {
    for (size_t i = path.size(); i > 0; --i) {
        if (is_slash(path[i - 1])) return i - 1;
    }
    return std::string_view::npos;
}

std::string_view without_trailing_slashes(std::string_view path) {
    while (path.size() > 1 && is_slash(path.back())) path.remove_suffix(1);
    return path;
}

// Position of the dot that starts the extension within a base name, or npos.
size_t extension_dot(std::string_view name) {
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return std::string_view::npos;
    // ".." and "..." have no extension.
    if (name.find_first_not_of('.') == std::string_view::npos) return std::string_view::npos;
    return dot;
}

constexpr std::string_view kTemporary = ".tmp-";

// What of a name stands before a suffix: all of it, or as much as the system's limit leaves.
std::string_view kept_of(std::string_view name, size_t suffix_size) {
    if (name.size() + suffix_size <= native::kMaxNameBytes) return name;
    size_t size = native::kMaxNameBytes - suffix_size;
    while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0U) == 0x80U) --size;
    return name.substr(0, size);
}

// `<name>.tmp-<pid>-<n>` beside the target.
std::string temporary_name(const std::string& path) {
    static std::atomic<uint64_t> counter{0};
    const std::string suffix =
        fmt::format("{}{}-{}", kTemporary, native::process_id(), counter.fetch_add(1));
    const std::string name = base_name(path);
    std::string temporary = path.substr(0, path.size() - name.size());
    temporary += kept_of(name, suffix.size());
    return temporary += suffix;
}

}  // namespace

std::string read_text_file(const std::string& path) {
    const std::vector<std::byte> bytes = read_binary_file(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string join_path(std::string_view folder, std::string_view name) {
    if (folder.empty()) return std::string(name);
    std::string result(folder);
    if (!is_slash(result.back())) result += '/';
    return result += name;
}

std::string base_name(std::string_view path) {
    path = without_trailing_slashes(path);
    const size_t slash = last_slash(path);
    return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string parent_path(std::string_view path) {
    path = without_trailing_slashes(path);
    const size_t slash = last_slash(path);
    if (slash == std::string_view::npos) return "";
    // "/x" is in "/", "C:/x" is in "C:/".
    if (slash == 0 || path[slash - 1] == ':') return std::string(path.substr(0, slash + 1));
    return std::string(without_trailing_slashes(path.substr(0, slash)));
}

std::string extension(std::string_view path) {
    const std::string name = base_name(path);
    const size_t dot = extension_dot(name);
    return dot == std::string::npos ? "" : name.substr(dot);
}

std::string without_extension(std::string_view path) {
    return std::string(path.substr(0, path.size() - extension(path).size()));
}

bool is_temporary_of(std::string_view name, std::string_view target) {
    const size_t at = name.rfind(kTemporary);
    if (at == std::string_view::npos) return false;
    return name.substr(0, at) == kept_of(target, name.size() - at);
}

void make_directories(const std::string& path) {
    if (path.empty() || is_directory(path)) return;
    const std::string parent = parent_path(path);
    if (!parent.empty() && parent != path) make_directories(parent);
    if (!native::make_directory(path) && !is_directory(path)) {
        throw Error(ErrorCode::kIo,
                    fmt::format("cannot create folder {}: a file of that name exists", path));
    }
}

struct AtomicFile::Impl {
    explicit Impl(std::string target_path)
        : target(std::move(target_path)), temporary(temporary_name(target)), file(temporary) {}

    std::string target;
    std::string temporary;
    native::OutputFile file;
    std::vector<std::byte> buffer;
    bool committed = false;

    void flush_buffer() {
        if (!buffer.empty()) file.write(buffer);
        buffer.clear();
    }
};

AtomicFile::AtomicFile(std::string path) {
    if (is_directory(path)) {
        throw Error(ErrorCode::kIo, fmt::format("cannot write {}: it is a folder", path));
    }
    impl_ = std::make_unique<Impl>(std::move(path));
}

AtomicFile::~AtomicFile() {
    if (impl_->committed) return;
    impl_->file.close();
    native::remove_file(impl_->temporary);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
    LORA_CHECK(!impl_->committed, "write after commit");
    std::vector<std::byte>& buffer = impl_->buffer;
    if (bytes.size() >= kBufferBytes) {
        impl_->flush_buffer();
        impl_->file.write(bytes);
        return;
    }
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    if (buffer.size() >= kBufferBytes) impl_->flush_buffer();
}

void AtomicFile::write(std::string_view text) {
    write(std::as_bytes(std::span(text.data(), text.size())));
}

void AtomicFile::commit() {
    LORA_CHECK(!impl_->committed, "second commit");
    impl_->flush_buffer();
    impl_->file.flush_and_close();
    native::rename_over(impl_->temporary, impl_->target);
    impl_->committed = true;
}

void write_file_atomically(const std::string& path, std::string_view text) {
    write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
    AtomicFile file(path);
    file.write(bytes);
    file.commit();
}

void replace_directory(const std::string& from, const std::string& to) {
    const std::string target(without_trailing_slashes(to));
    if (!path_exists(target)) {
        native::rename_directory(from, target);
        return;
    }
    const std::string old = temporary_name(target);
    native::rename_directory(target, old);
    native::rename_directory(from, target);
    if (is_directory(old)) {
        remove_directory(old);
    } else {
        remove_file_if_exists(old);
    }
}

uint64_t free_disk_bytes(const std::string& directory) {
    std::error_code error;
    const auto space = std::filesystem::space(
        std::filesystem::path(std::u8string(directory.begin(), directory.end())), error);
    if (error) {
        throw Error(
            ErrorCode::kIo,
            fmt::format("cannot tell how full the disk of {} is: {}", directory, error.message()));
    }
    return space.available;
}

}  // namespace lora
