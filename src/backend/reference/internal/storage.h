// Memory of the reference backend: buffers, weights, and the arena that its executables share.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"

namespace lora::reference {

class HostBuffer final : public backend::Buffer {
public:
    explicit HostBuffer(size_t size_bytes);
    [[nodiscard]] size_t size_bytes() const override { return bytes_.size(); }
    void write(size_t offset_bytes, std::span<const std::byte> src) override;
    void read(size_t offset_bytes, std::span<std::byte> dst) const override;
    void fill_zero() override;
    [[nodiscard]] std::byte* data() { return bytes_.data(); }

private:
    std::vector<std::byte> bytes_;
};

// The file's bytes, and a converted copy for each other type that a graph asked for.
class HostWeight final : public backend::Weight {
public:
    HostWeight(const TensorView& source, std::shared_ptr<const void> keep_alive)
        : source_(source), keep_alive_(std::move(keep_alive)) {}
    [[nodiscard]] const TensorView& source() const { return source_; }
    // Elements as `dtype`; never written through.
    [[nodiscard]] std::byte* bytes_as(DType dtype);
    [[nodiscard]] size_t converted_bytes() const;

private:
    TensorView source_;
    std::shared_ptr<const void> keep_alive_;
    std::map<DType, Tensor> converted_;
};

using Arena = std::vector<std::byte>;

// `arena` grows to the plan's size here; it is shared with the backend's other executables.
[[nodiscard]] std::unique_ptr<backend::Executable> make_executable(
    plan::MemoryPlan plan, const backend::Bindings& bindings, std::shared_ptr<Arena> arena);

}  // namespace lora::reference
