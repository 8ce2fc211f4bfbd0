#include "base/part_file.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/internal/file_native.h"

namespace lora {

struct PartFile::Impl {
    explicit Impl(std::string part_path)
        : path(std::move(part_path)), file(path, native::OutputMode::kContinue) {}

    std::string path;
    native::OutputFile file;
    uint64_t size = 0;
    bool is_open = true;
};

PartFile::PartFile(std::string path) {
    if (is_directory(path)) {
        throw Error(ErrorCode::kIo, fmt::format("cannot write {}: it is a folder", path));
    }
    impl_ = std::make_unique<Impl>(std::move(path));
    impl_->size = file_size_bytes(impl_->path);
}

PartFile::~PartFile() = default;

uint64_t PartFile::size_bytes() const { return impl_->size; }

void PartFile::write(std::span<const std::byte> bytes) {
    LORA_CHECK(impl_->is_open, "write after close");
    impl_->file.write(bytes);
    impl_->size += bytes.size();
}

void PartFile::truncate() {
    LORA_CHECK(impl_->is_open, "write after close");
    impl_->file.truncate();
    impl_->size = 0;
}

void PartFile::close() {
    LORA_CHECK(impl_->is_open, "second close");
    impl_->file.flush_and_close();
    impl_->is_open = false;
}

void PartFile::finish(const std::string& target) {
    LORA_CHECK(!impl_->is_open, "still open");
    native::rename_over(impl_->path, target);
}

}  // namespace lora
