#include "backend/cpu/internal/weight.h"

#include <cstring>
#include <new>
#include <span>

#include <fmt/format.h>

#include "base/error.h"
#include "base/process.h"

namespace lora::cpu {

Memory::Memory(size_t size_bytes)
    : size_bytes_(size_bytes), alignment_(size_bytes >= (size_t{4} << 20) ? size_t{2} << 20 : 64) {
    data_ = static_cast<std::byte*>(
        ::operator new (size_bytes_ + 64, std::align_val_t{alignment_}, std::nothrow));
    if (data_ == nullptr) {
        throw Error(ErrorCode::kOutOfMemory,
                    fmt::format("the system has no {} MiB of memory left", size_bytes >> 20))
            .with_hint("close other programs, or lower the resolution or the batch size");
    }
    if (alignment_ > 64) prefer_large_pages(data_, size_bytes_);
}

Memory::~Memory() { ::operator delete (data_, std::align_val_t{alignment_}); }

std::shared_ptr<Memory> CpuWeight::plain() {
    return form("plain", [](const TensorView& elements) {
        auto memory = std::make_shared<Memory>(elements.bytes.size());
        std::memcpy(memory->data(), elements.bytes.data(), elements.bytes.size());
        return memory;
    });
}

std::shared_ptr<Memory> CpuWeight::form(const std::string& name, const Maker& make) {
    std::shared_ptr<Memory>& slot = forms_[name];
    if (slot != nullptr) return slot;
    if (source_.dtype == dtype_) {
        slot = make(source_);
    } else {
        // Not a Tensor: that would be cleared first, in small pages.
        const auto count = static_cast<size_t>(source_.shape.num_elements());
        const Memory converted(count * dtype_bytes(dtype_));
        const std::span<std::byte> bytes(converted.data(), converted.size_bytes());
        convert_elements(source_.dtype, source_.bytes, dtype_, bytes);
        slot = make({dtype_, source_.shape, bytes});
    }
    return slot;
}

size_t CpuWeight::held_bytes() const {
    size_t total = 0;
    for (const auto& [name, memory] : forms_) total += memory->size_bytes();
    return total;
}

}  // namespace lora::cpu
