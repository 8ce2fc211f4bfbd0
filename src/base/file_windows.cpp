#include <algorithm>
#include <cwchar>
#include <windows.h>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/internal/file_native.h"
#include "base/utf8.h"

namespace lora {
namespace {

constexpr size_t kShortPathUnits = 240;  // folders must stay below 248, files below 260
constexpr std::wstring_view kPrefix = L"\\\\?\\";
constexpr std::wstring_view kUncPrefix = L"\\\\?\\UNC\\";

[[noreturn]] void fail(const char* what, const std::string& path, DWORD code) {
    wchar_t text[512];
    const DWORD size = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS,
                                      nullptr,
                                      code,
                                      0,
                                      text,
                                      512,
                                      nullptr);
    std::string reason = wide_to_utf8({text, size});
    while (!reason.empty() &&
           (reason.back() == '\n' || reason.back() == '\r' || reason.back() == '.')) {
        reason.pop_back();
    }
    if (reason.empty()) reason = fmt::format("system error {}", code);
    Error error(ErrorCode::kIo, fmt::format("cannot {} {}: {}", what, path, reason));
    switch (code) {
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
            throw std::move(error).with_hint("check the spelling of the path");
        case ERROR_ACCESS_DENIED:
        case ERROR_WRITE_PROTECT:
        case ERROR_SHARING_VIOLATION:
            throw std::move(error).with_hint(
                "the folder or file may not be written or read, or another program has it open");
        case ERROR_DISK_FULL:
        case ERROR_HANDLE_DISK_FULL:
            throw std::move(error).with_hint("free some space on that disk and try again");
        default: throw error;
    }
}

// Wide form with backslashes; long paths become absolute and get the prefix that lifts the limit.
std::wstring wide_path(std::string_view utf8) {
    std::wstring wide = utf8_to_wide(utf8);
    std::replace(wide.begin(), wide.end(), L'/', L'\\');
    if (wide.starts_with(kPrefix)) return wide;
    const DWORD needed = GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
    if (needed < kShortPathUnits) return wide;
    std::wstring full(needed, L'\0');
    full.resize(GetFullPathNameW(wide.c_str(), needed, full.data(), nullptr));
    if (full.starts_with(L"\\\\")) return std::wstring(kUncPrefix) + full.substr(2);
    return std::wstring(kPrefix) + full;
}

class Handle {
public:
    explicit Handle(HANDLE handle) : handle_(handle) {}
    ~Handle() {
        if (handle_ != INVALID_HANDLE_VALUE && handle_ != nullptr) CloseHandle(handle_);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    [[nodiscard]] HANDLE get() const { return handle_; }

private:
    HANDLE handle_;
};

HANDLE open_for_reading(const std::string& path) {
    HANDLE handle = CreateFileW(wide_path(path).c_str(),
                                GENERIC_READ,
                                FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                                nullptr,
                                OPEN_EXISTING,
                                FILE_ATTRIBUTE_NORMAL,
                                nullptr);
    if (handle == INVALID_HANDLE_VALUE) fail("open", path, GetLastError());
    return handle;
}

DWORD attributes_of(const std::string& path) { return GetFileAttributesW(wide_path(path).c_str()); }

uint64_t join_halves(DWORD high, DWORD low) { return (static_cast<uint64_t>(high) << 32) | low; }

}  // namespace

std::filesystem::path to_path(std::string_view utf8) {
    return std::filesystem::path(wide_path(utf8));
}

std::string from_path(const std::filesystem::path& path) {
    std::wstring wide = path.native();
    if (wide.starts_with(kUncPrefix)) {
        wide = L"\\\\" + wide.substr(kUncPrefix.size());
    } else if (wide.starts_with(kPrefix)) {
        wide = wide.substr(kPrefix.size());
    }
    std::replace(wide.begin(), wide.end(), L'\\', L'/');
    return wide_to_utf8(wide);
}

std::vector<std::byte> read_binary_file(const std::string& path) {
    const Handle file(open_for_reading(path));
    LARGE_INTEGER size{};
    if (GetFileSizeEx(file.get(), &size) == 0) fail("read", path, GetLastError());
    std::vector<std::byte> bytes(static_cast<size_t>(size.QuadPart));
    size_t filled = 0;
    while (filled < bytes.size()) {
        const auto want = static_cast<DWORD>(std::min<size_t>(bytes.size() - filled, 1U << 30));
        DWORD got = 0;
        if (ReadFile(file.get(), bytes.data() + filled, want, &got, nullptr) == 0) {
            fail("read", path, GetLastError());
        }
        if (got == 0) break;
        filled += got;
    }
    bytes.resize(filled);
    return bytes;
}

bool path_exists(const std::string& path) { return attributes_of(path) != INVALID_FILE_ATTRIBUTES; }

bool is_directory(const std::string& path) {
    const DWORD attributes = attributes_of(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

uint64_t file_size_bytes(const std::string& path) {
    WIN32_FILE_ATTRIBUTE_DATA data{};
    if (GetFileAttributesExW(wide_path(path).c_str(), GetFileExInfoStandard, &data) == 0) {
        fail("read", path, GetLastError());
    }
    return join_halves(data.nFileSizeHigh, data.nFileSizeLow);
}

void remove_file_if_exists(const std::string& path) {
    if (DeleteFileW(wide_path(path).c_str()) != 0) return;
    const DWORD code = GetLastError();
    if (code != ERROR_FILE_NOT_FOUND && code != ERROR_PATH_NOT_FOUND) fail("remove", path, code);
}

std::vector<DirectoryEntry> list_directory(const std::string& path) {
    WIN32_FIND_DATAW data{};
    const std::string pattern = join_path(path.empty() ? "." : path, "*");
    HANDLE search = FindFirstFileW(wide_path(pattern).c_str(), &data);
    if (search == INVALID_HANDLE_VALUE) fail("list folder", path, GetLastError());
    std::vector<DirectoryEntry> entries;
    do {
        const std::string name = wide_to_utf8(data.cFileName);
        if (name == "." || name == "..") continue;
        const bool is_folder = (data.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
        entries.push_back(
            {name, is_folder, is_folder ? 0 : join_halves(data.nFileSizeHigh, data.nFileSizeLow)});
    } while (FindNextFileW(search, &data) != 0);
    const DWORD code = GetLastError();
    FindClose(search);
    if (code != ERROR_NO_MORE_FILES) fail("list folder", path, code);
    std::sort(entries.begin(), entries.end(), [](const DirectoryEntry& a, const DirectoryEntry& b) {
        return a.name < b.name;
    });
    return entries;
}

std::string program_folder() {
    std::wstring buffer(32768, L'\0');
    buffer.resize(GetModuleFileNameW(nullptr, buffer.data(), 32768));
    return parent_path(from_path(std::filesystem::path(buffer)));
}

void remove_directory(const std::string& path) {
    const DWORD attributes = attributes_of(path);
    if (attributes == INVALID_FILE_ATTRIBUTES) return;
    // A junction or link is removed itself; what it points to stays.
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0) {
        for (const DirectoryEntry& entry : list_directory(path)) {
            const std::string child = join_path(path, entry.name);
            if (entry.is_directory) {
                remove_directory(child);
            } else {
                remove_file_if_exists(child);
            }
        }
    }
    if (RemoveDirectoryW(wide_path(path).c_str()) == 0) fail("remove folder", path, GetLastError());
}

struct MappedFile::Impl {
    const std::byte* data = nullptr;
    size_t size = 0;

    ~Impl() {
        if (data != nullptr) UnmapViewOfFile(data);
    }
};

MappedFile::MappedFile(const std::string& path) : path_(path), impl_(std::make_unique<Impl>()) {
    const Handle file(open_for_reading(path));
    LARGE_INTEGER size{};
    if (GetFileSizeEx(file.get(), &size) == 0) fail("map", path, GetLastError());
    impl_->size = static_cast<size_t>(size.QuadPart);
    if (impl_->size == 0) return;
    const Handle mapping(CreateFileMappingW(file.get(), nullptr, PAGE_READONLY, 0, 0, nullptr));
    if (mapping.get() == nullptr) fail("map", path, GetLastError());
    const void* data = MapViewOfFile(mapping.get(), FILE_MAP_READ, 0, 0, 0);
    if (data == nullptr) fail("map", path, GetLastError());
    impl_->data = static_cast<const std::byte*>(data);
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
    // Unlocking a range that is not locked takes its pages out of the working set.
    VirtualUnlock(const_cast<std::byte*>(impl_->data) + offset,
                  std::min(size, impl_->size - offset));
}

namespace native {

OutputFile::OutputFile(const std::string& path, OutputMode mode) : path_(path) {
    const bool is_new = mode == OutputMode::kNew;
    HANDLE handle = CreateFileW(wide_path(path).c_str(),
                                GENERIC_WRITE,
                                0,
                                nullptr,
                                is_new ? CREATE_NEW : OPEN_ALWAYS,
                                FILE_ATTRIBUTE_NORMAL,
                                nullptr);
    if (handle == INVALID_HANDLE_VALUE) fail("write", path, GetLastError());
    handle_ = reinterpret_cast<intptr_t>(handle);
    if (!is_new && SetFilePointerEx(handle, {}, nullptr, FILE_END) == 0) {
        const DWORD code = GetLastError();
        close();
        fail("write", path, code);
    }
}

OutputFile::~OutputFile() { close(); }

void OutputFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto want = static_cast<DWORD>(std::min<size_t>(bytes.size(), 1U << 30));
        DWORD done = 0;
        if (WriteFile(reinterpret_cast<HANDLE>(handle_), bytes.data(), want, &done, nullptr) == 0) {
            fail("write", path_, GetLastError());
        }
        bytes = bytes.subspan(done);
    }
}

void OutputFile::truncate() {
    const auto handle = reinterpret_cast<HANDLE>(handle_);
    if (SetFilePointerEx(handle, {}, nullptr, FILE_BEGIN) == 0 || SetEndOfFile(handle) == 0) {
        fail("write", path_, GetLastError());
    }
}

void OutputFile::flush_and_close() {
    if (FlushFileBuffers(reinterpret_cast<HANDLE>(handle_)) == 0)
        fail("write", path_, GetLastError());
    const auto handle = reinterpret_cast<HANDLE>(handle_);
    handle_ = -1;
    if (CloseHandle(handle) == 0) fail("write", path_, GetLastError());
}

void OutputFile::close() noexcept {
    if (handle_ != -1) CloseHandle(reinterpret_cast<HANDLE>(handle_));
    handle_ = -1;
}

void rename_over(const std::string& from, const std::string& to) {
    constexpr DWORD kFlags = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    // A virus scanner or indexer may hold the new file open for a moment.
    constexpr int kTries = 20;
    for (int i = 0; i < kTries; ++i) {
        if (MoveFileExW(wide_path(from).c_str(), wide_path(to).c_str(), kFlags) != 0) return;
        const DWORD code = GetLastError();
        const bool passing = code == ERROR_SHARING_VIOLATION || code == ERROR_ACCESS_DENIED;
        if (!passing || i + 1 == kTries) fail("write", to, code);
        Sleep(50);
    }
}

void rename_directory(const std::string& from, const std::string& to) {
    if (MoveFileExW(wide_path(from).c_str(), wide_path(to).c_str(), MOVEFILE_WRITE_THROUGH) == 0) {
        fail("write", to, GetLastError());
    }
}

bool make_directory(const std::string& path) {
    if (CreateDirectoryW(wide_path(path).c_str(), nullptr) != 0) return true;
    const DWORD code = GetLastError();
    if (code != ERROR_ALREADY_EXISTS) fail("create folder", path, code);
    return false;
}

void remove_file(const std::string& path) noexcept { DeleteFileW(wide_path(path).c_str()); }

uint64_t process_id() { return GetCurrentProcessId(); }

}  // namespace native
}  // namespace lora
