#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/internal/file_native.h"

namespace lora {
namespace {

// A system call failed on `path`: the reason in words, and what to do where that is known.
[[noreturn]] void fail(const char* what, const std::string& path, int code) {
    Error error(ErrorCode::kIo,
                fmt::format("cannot {} {}: {}", what, path, std::generic_category().message(code)));
    switch (code) {
        case ENOENT: throw std::move(error).with_hint("check the spelling of the path");
        case EACCES:
        case EPERM:
        case EROFS:
            throw std::move(error).with_hint(
                "the folder or file may not be written or read; "
                "choose another or change its permissions");
        case ENOSPC:
        case EDQUOT: throw std::move(error).with_hint("free some space on that disk and try again");
        default: throw error;
    }
}

// Closes on every way out.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() { ::close(fd_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }

private:
    int fd_;
};

int open_for_reading(const std::string& path, struct stat& info) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("open", path, errno);
    if (::fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
        const int code = S_ISDIR(info.st_mode) ? EISDIR : errno;
        ::close(fd);
        fail("open", path, code);
    }
    return fd;
}

void sync_folder_of(const std::string& path) {
    const std::string folder = parent_path(path);
    const int fd =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    // Some network file systems refuse to sync a folder; the rename itself has succeeded.
    static_cast<void>(::fsync(fd));
    ::close(fd);
}

}  // namespace

std::filesystem::path to_path(std::string_view utf8) { return std::filesystem::path(utf8); }

std::string from_path(const std::filesystem::path& path) { return path.string(); }

std::vector<std::byte> read_binary_file(const std::string& path) {
    struct stat info {};
    const Descriptor fd(open_for_reading(path, info));
    // Pipes and /proc files report size 0, so the end is where read says so.
    constexpr size_t kMinChunk = 64 * 1024;
    std::vector<std::byte> bytes(static_cast<size_t>(std::max<off_t>(info.st_size, 0)) + 1);
    size_t filled = 0;
    while (true) {
        if (filled == bytes.size()) bytes.resize(bytes.size() + std::max(kMinChunk, bytes.size()));
        const ssize_t got = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail("read", path, errno);
        if (got == 0) break;
        filled += static_cast<size_t>(got);
    }
    bytes.resize(filled);
    return bytes;
}

bool path_exists(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0;
}

bool is_directory(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

uint64_t file_size_bytes(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) fail("read", path, errno);
    return static_cast<uint64_t>(info.st_size);
}

void remove_file_if_exists(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("remove", path, errno);
}

std::vector<DirectoryEntry> list_directory(const std::string& path) {
    DIR* folder = ::opendir(path.empty() ? "." : path.c_str());
    if (folder == nullptr) fail("list folder", path, errno);
    std::vector<DirectoryEntry> entries;
    errno = 0;
    while (const dirent* item = ::readdir(folder)) {
        const std::string name = item->d_name;
        struct stat info {};
        if (name != "." && name != ".." &&
            ::fstatat(::dirfd(folder), item->d_name, &info, 0) == 0) {
            const bool is_folder = S_ISDIR(info.st_mode);
            entries.push_back(
                {name, is_folder, is_folder ? 0 : static_cast<uint64_t>(info.st_size)});
        }
        errno = 0;
    }
    const int code = errno;
    ::closedir(folder);
    if (code != 0) fail("list folder", path, code);
    std::sort(entries.begin(), entries.end(), [](const DirectoryEntry& a, const DirectoryEntry& b) {
        return a.name < b.name;
    });
    return entries;
}

std::string program_folder() {
    std::string buffer(4096, '\0');
    const ssize_t size = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
    if (size <= 0) fail("read", "/proc/self/exe", errno);
    buffer.resize(static_cast<size_t>(size));
    std::string folder = parent_path(buffer);
    // In the package the program lies in lib/ behind its starter; where that took the C library
    // that came along (app/starter), the link names the loader in lib/glibc.
    if (base_name(folder) == "glibc") folder = parent_path(folder);
    if (base_name(folder) == "lib" && path_exists(join_path(parent_path(folder), "lora"))) {
        return parent_path(folder);
    }
    return folder;
}

void remove_directory(const std::string& path) {
    std::error_code code;
    std::filesystem::remove_all(to_path(path), code);
    if (code) fail("remove folder", path, code.value());
}

struct MappedFile::Impl {
    std::byte* data = nullptr;
    size_t size = 0;

    ~Impl() {
        if (data != nullptr) ::munmap(data, size);
    }
};

MappedFile::MappedFile(const std::string& path) : path_(path), impl_(std::make_unique<Impl>()) {
    struct stat info {};
    const Descriptor fd(open_for_reading(path, info));
    impl_->size = static_cast<size_t>(info.st_size);
    if (impl_->size == 0) return;
    void* data = ::mmap(nullptr, impl_->size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (data == MAP_FAILED) fail("map", path, errno);
    impl_->data = static_cast<std::byte*>(data);
}

MappedFile::~MappedFile() = default;
MappedFile::MappedFile(MappedFile&& other) noexcept = default;
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept = default;

std::span<const std::byte> MappedFile::bytes() const {
    if (impl_ == nullptr) return {};
    return {impl_->data, impl_->size};
}

void MappedFile::release_pages(size_t offset, size_t size) const {
    if (impl_ == nullptr || impl_->data == nullptr || offset >= impl_->size) return;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t begin = (offset + page - 1) / page * page;
    const size_t end =
        std::min(impl_->size, offset + std::min(size, impl_->size - offset)) / page * page;
    // Advice only: the bytes stay readable, from the file.
    if (begin < end) static_cast<void>(::madvise(impl_->data + begin, end - begin, MADV_DONTNEED));
}

namespace native {

OutputFile::OutputFile(const std::string& path, OutputMode mode) : path_(path) {
    const int how = mode == OutputMode::kNew ? O_EXCL : O_APPEND | O_NOFOLLOW;
    handle_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
    if (handle_ < 0) fail("write", path, errno);
}

OutputFile::~OutputFile() { close(); }

void OutputFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t done = ::write(static_cast<int>(handle_), bytes.data(), bytes.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) fail("write", path_, errno);
        bytes = bytes.subspan(static_cast<size_t>(done));
    }
}

void OutputFile::truncate() {
    if (::ftruncate(static_cast<int>(handle_), 0) != 0) fail("write", path_, errno);
}

void OutputFile::flush_and_close() {
    const int fd = static_cast<int>(handle_);
    // EINVAL, EROFS: the file system does not support syncing this file.
    if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) fail("write", path_, errno);
    handle_ = -1;
    if (::close(fd) != 0) fail("write", path_, errno);
}

void OutputFile::close() noexcept {
    if (handle_ >= 0) ::close(static_cast<int>(handle_));
    handle_ = -1;
}

void rename_over(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) fail("write", to, errno);
    sync_folder_of(to);
}

void rename_directory(const std::string& from, const std::string& to) { rename_over(from, to); }

bool make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0777) == 0) return true;
    if (errno != EEXIST) fail("create folder", path, errno);
    return false;
}

void remove_file(const std::string& path) noexcept { ::unlink(path.c_str()); }

uint64_t process_id() { return static_cast<uint64_t>(::getpid()); }

}  // namespace native
}  // namespace lora
