#include <algorithm>
#include <cstring>

#include "backend/reference/internal/kernel.h"
#include "backend/reference/internal/storage.h"
#include "backend/reference/reference_backend.h"
#include "base/check.h"

namespace lora::reference {

HostBuffer::HostBuffer(size_t size_bytes) : bytes_(size_bytes) {}

void HostBuffer::write(size_t offset_bytes, std::span<const std::byte> src) {
    LORA_CHECK(offset_bytes <= bytes_.size() && src.size() <= bytes_.size() - offset_bytes);
    if (!src.empty()) std::memcpy(bytes_.data() + offset_bytes, src.data(), src.size());
}

void HostBuffer::read(size_t offset_bytes, std::span<std::byte> dst) const {
    LORA_CHECK(offset_bytes <= bytes_.size() && dst.size() <= bytes_.size() - offset_bytes);
    if (!dst.empty()) std::memcpy(dst.data(), bytes_.data() + offset_bytes, dst.size());
}

void HostBuffer::fill_zero() { std::fill(bytes_.begin(), bytes_.end(), std::byte{0}); }

std::byte* HostWeight::bytes_as(DType dtype) {
    if (dtype == source_.dtype) return const_cast<std::byte*>(source_.bytes.data());
    auto it = converted_.find(dtype);
    if (it == converted_.end()) it = converted_.emplace(dtype, to_dtype(source_, dtype)).first;
    return it->second.bytes().data();
}

size_t HostWeight::converted_bytes() const {
    size_t sum = 0;
    for (const auto& [dtype, tensor] : converted_) sum += tensor.bytes().size();
    return sum;
}

namespace {

class ReferenceBackend final : public backend::Backend {
public:
    ReferenceBackend() : arena_(std::make_shared<Arena>()) {
        capabilities_.scratch_bytes = [](const ir::Graph&, const ir::Node&) { return size_t{0}; };
        // Operands are loaded whole before anything is stored.
        capabilities_.can_run_in_place = [](const ir::Graph&, const ir::Node&) { return true; };
    }

    [[nodiscard]] std::string_view name() const override { return "reference"; }
    [[nodiscard]] std::string device_description() const override {
        return "plain loops on one processor core";
    }
    [[nodiscard]] DType preferred_dtype() const override { return DType::kF32; }
    [[nodiscard]] bool supports(DType compute_dtype) const override {
        return is_float(compute_dtype);
    }
    [[nodiscard]] const plan::Capabilities& capabilities() const override { return capabilities_; }

    [[nodiscard]] std::shared_ptr<backend::Buffer> make_buffer(size_t size_bytes) override {
        auto buffer = std::make_shared<HostBuffer>(size_bytes);
        buffers_.push_back(buffer);
        return buffer;
    }

    [[nodiscard]] std::shared_ptr<backend::Weight> make_weight(
        const TensorView& source, std::shared_ptr<const void> keep_alive, DType dtype) override {
        LORA_CHECK((is_float(dtype) || dtype == source.dtype) &&
                   source.bytes.size() ==
                       narrow<size_t>(source.shape.num_elements()) * dtype_bytes(source.dtype));
        auto weight = std::make_shared<HostWeight>(source, std::move(keep_alive));
        weights_.push_back(weight);
        return weight;
    }

    [[nodiscard]] std::unique_ptr<backend::Executable> compile(
        plan::MemoryPlan plan, const backend::Bindings& bindings) override {
        return make_executable(std::move(plan), bindings, arena_);
    }

    [[nodiscard]] size_t persistent_bytes() const override {
        size_t sum = 0;
        for (const auto& item : buffers_) {
            if (const auto buffer = item.lock()) sum += buffer->size_bytes();
        }
        for (const auto& item : weights_) {
            if (const auto weight = item.lock()) sum += weight->converted_bytes();
        }
        return sum;
    }

private:
    plan::Capabilities capabilities_;
    std::shared_ptr<Arena> arena_;  // shared with the executables, whichever lives longer
    std::vector<std::weak_ptr<HostBuffer>> buffers_;
    std::vector<std::weak_ptr<HostWeight>> weights_;
};

}  // namespace

std::unique_ptr<backend::Backend> open(const backend::BackendOptions& /*options*/) {
    return std::make_unique<ReferenceBackend>();
}

backend::BackendEntry entry() {
    backend::BackendEntry entry;
    entry.name = "reference";
    entry.unavailable_reason = [] { return std::string(); };
    entry.open = [](const backend::BackendOptions& options) { return open(options); };
    entry.priority = 0;
    return entry;
}

}  // namespace lora::reference
