#include "backend/cpu/cpu_backend.h"

#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "backend/cpu/internal/device.h"
#include "backend/cpu/internal/executable.h"
#include "backend/cpu/internal/library.h"
#include "backend/cpu/internal/weight.h"
#include "base/check.h"
#include "base/error.h"

namespace lora::cpu {

Elem elem_of(DType dtype) {
    if (dtype == DType::kF32) return Elem::kF32;
    if (dtype == DType::kBF16) return Elem::kBF16;
    throw Error(ErrorCode::kDevice,
                fmt::format("the cpu backend has no kernels for {} values", dtype_name(dtype)))
        .with_hint("choose fp32 or bf16");
}

Curve curve_of(ir::Activation activation) {
    switch (activation) {
        case ir::Activation::kSilu: return Curve::kSilu;
        case ir::Activation::kGelu: return Curve::kGelu;
        case ir::Activation::kQuickGelu: return Curve::kQuickGelu;
        default: return Curve::kNone;
    }
}

namespace {

class CpuBuffer final : public backend::Buffer {
public:
    explicit CpuBuffer(size_t size_bytes) : memory_(size_bytes) { fill_zero(); }
    [[nodiscard]] size_t size_bytes() const override { return memory_.size_bytes(); }
    void write(size_t offset_bytes, std::span<const std::byte> src) override {
        LORA_CHECK(offset_bytes + src.size() <= size_bytes(), "write beyond the buffer");
        std::memcpy(memory_.data() + offset_bytes, src.data(), src.size());
    }
    void read(size_t offset_bytes, std::span<std::byte> dst) const override {
        LORA_CHECK(offset_bytes + dst.size() <= size_bytes(), "read beyond the buffer");
        std::memcpy(dst.data(), memory_.data() + offset_bytes, dst.size());
    }
    void fill_zero() override { std::memset(memory_.data(), 0, memory_.size_bytes()); }
    [[nodiscard]] std::byte* data() const { return memory_.data(); }

private:
    Memory memory_;
};

class CpuBackend : public backend::Backend {
public:
    explicit CpuBackend(const backend::BackendOptions& options) {
        const char* limit = std::getenv("LORA_CPU_ISA");
        device_->kernels = &kernel_table(limit == nullptr ? "" : limit);
        device_->threads = Threads(options.num_threads);
        device_->threads.adopt();
        device_->library = open_library();
        capabilities_.scratch_bytes = [device = device_](const ir::Graph& g, const ir::Node& n) {
            return scratch_bytes(*device, g, n);
        };
        capabilities_.can_run_in_place = [](const ir::Graph& g, const ir::Node& n) {
            return can_run_in_place(g, n);
        };
    }

    [[nodiscard]] std::string_view name() const override { return "cpu"; }
    [[nodiscard]] std::string device_description() const override {
        return fmt::format(
            "{} threads, {} kernels, {}",
            device_->threads.count(),
            device_->kernels->name,
            device_->library == nullptr ? "no oneDNN" : device_->library->description());
    }
    [[nodiscard]] DType preferred_dtype() const override {
        return device_->kernels->native_bf16 ? DType::kBF16 : DType::kF32;
    }
    [[nodiscard]] bool supports(DType compute_dtype) const override {
        return compute_dtype == DType::kF32 || compute_dtype == DType::kBF16;
    }
    [[nodiscard]] const plan::Capabilities& capabilities() const override { return capabilities_; }

    [[nodiscard]] std::shared_ptr<backend::Buffer> make_buffer(size_t size_bytes) override {
        auto buffer = std::make_shared<CpuBuffer>(size_bytes);
        buffers_.emplace_back(buffer);
        return buffer;
    }
    [[nodiscard]] std::shared_ptr<backend::Weight> make_weight(
        const TensorView& source, std::shared_ptr<const void> keep_alive, DType dtype) override {
        auto weight = std::make_shared<CpuWeight>(source, std::move(keep_alive), dtype);
        weights_.emplace_back(weight);
        return weight;
    }
    [[nodiscard]] std::unique_ptr<backend::Executable> compile(
        plan::MemoryPlan plan, const backend::Bindings& bindings) override {
        const auto resolve = [](const backend::Buffer& buffer) {
            const auto* own = dynamic_cast<const CpuBuffer*>(&buffer);
            LORA_CHECK(own != nullptr, "a buffer of another backend");
            return own->data();
        };
        return make_executable(device_, arena_, std::move(plan), bindings, resolve);
    }
    [[nodiscard]] size_t persistent_bytes() const override {
        size_t total = 0;
        for (const auto& weak : weights_) {
            if (const auto weight = weak.lock()) total += weight->held_bytes();
        }
        for (const auto& weak : buffers_) {
            if (const auto buffer = weak.lock()) total += buffer->size_bytes();
        }
        return total;
    }

private:
    std::shared_ptr<Device> device_ = std::make_shared<Device>();  // executables hold it too
    std::shared_ptr<Arena> arena_ = std::make_shared<Arena>();     // shared by the executables
    plan::Capabilities capabilities_;
    std::vector<std::weak_ptr<CpuWeight>> weights_;
    std::vector<std::weak_ptr<CpuBuffer>> buffers_;
};

}  // namespace

std::unique_ptr<backend::Backend> open(const backend::BackendOptions& options) {
    return std::make_unique<CpuBackend>(options);
}

backend::BackendEntry entry() {
    backend::BackendEntry entry;
    entry.name = "cpu";
    entry.unavailable_reason = [] { return std::string(); };
    entry.open = [](const backend::BackendOptions& options) { return open(options); };
    entry.priority = 10;
    return entry;
}

}  // namespace lora::cpu
