#include "backend/cuda/cuda_backend.h"

#include <fmt/format.h>

#include "backend/cuda/internal/executable.h"
#include "backend/cuda/internal/gradient_group.h"
#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/product_args.h"
#include "base/attempt.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

// What the last piece of the pool leaves free, the driver's own rounding, and the graphs.
constexpr size_t kRoundingBytes = size_t{112} << 20;

class CudaBackend : public backend::Backend {
public:
    explicit CudaBackend(const backend::BackendOptions& options) : session_(open_session(options)) {
        capabilities_.scratch_bytes = [card = session_.card](const ir::Graph& g,
                                                             const ir::Node& n) {
            return scratch_bytes(card->info(), g, n);
        };
        // Every kernel reads an element before it writes the one in its place.
        capabilities_.can_run_in_place = [](const ir::Graph&, const ir::Node& n) {
            return ir::op_info(n.op).inplace_input >= 0;
        };
        capabilities_.alignment_bytes = 256;
        capabilities_.max_second_product = 256;
        capabilities_.recompute_activations = true;
        capabilities_.most_gathered_gradients = kMostGrouped;
        capabilities_.runs_side_by_side = true;
    }

    [[nodiscard]] std::string_view name() const override { return "cuda"; }
    [[nodiscard]] std::string device_description() const override {
        const DeviceInfo& info = session_.card->info();
        return fmt::format(
            "{}, compute capability {}.{}, {:.1f} GiB, {:.1f} GiB free, driver for "
            "CUDA {}.{}",
            info.name,
            info.compute_major,
            info.compute_minor,
            static_cast<double>(info.total_bytes) / (1 << 30),
            static_cast<double>(session_.card->free_bytes()) / (1 << 30),
            info.driver_version / 1000,
            info.driver_version % 1000 / 10);
    }
    [[nodiscard]] DType preferred_dtype() const override {
        return session_.card->info().has_bf16() ? DType::kBF16 : DType::kF16;
    }
    [[nodiscard]] bool supports(DType dtype) const override {
        return dtype == DType::kF32 || dtype == DType::kF16 ||
               (dtype == DType::kBF16 && session_.card->info().has_bf16());
    }
    [[nodiscard]] const plan::Capabilities& capabilities() const override { return capabilities_; }

    [[nodiscard]] std::shared_ptr<backend::Buffer> make_buffer(size_t size_bytes) override {
        auto buffer = std::make_shared<CudaBuffer>(session_.card, size_bytes);
        buffers_.emplace_back(buffer);
        return buffer;
    }
    [[nodiscard]] std::shared_ptr<backend::Weight> make_weight(
        const TensorView& source, std::shared_ptr<const void> keep_alive, DType dtype) override {
        return std::make_shared<CudaWeight>(
            session_.card, pool_, staging_, source, std::move(keep_alive), dtype);
    }
    [[nodiscard]] std::unique_ptr<backend::Executable> compile(
        plan::MemoryPlan plan, const backend::Bindings& bindings) override {
        auto executable = make_executable(session_, std::move(plan), bindings);
        staging_->release();
        return executable;
    }
    [[nodiscard]] bool has_own_memory() const override { return true; }
    // Parameters in the compute type, the room for sums of gradients, and what pools cannot fill.
    [[nodiscard]] size_t overhead_bytes(int64_t num_parameters, DType dtype) const override {
        const size_t copies =
            dtype == DType::kF32 ? 0 : static_cast<size_t>(num_parameters) * dtype_bytes(dtype);
        return copies + gradient_workspace_bytes(session_.card->info()) + kRoundingBytes;
    }
    [[nodiscard]] std::optional<backend::DeviceMemory> device_memory() const override {
        const size_t total = session_.card->info().total_bytes;
        return backend::DeviceMemory{total, total - std::min(free_at_start_, total)};
    }
    [[nodiscard]] size_t device_bytes_in_use() const override {
        const size_t now = session_.card->free_bytes();
        return now < free_at_start_ ? free_at_start_ - now : 0;
    }
    [[nodiscard]] size_t persistent_bytes() const override {
        size_t total = session_.parameter_copies->size_bytes() +
                       session_.gradient_workspace->size_bytes() + pool_->held_bytes();
        for (const auto& weak : buffers_) {
            if (const auto buffer = weak.lock()) total += buffer->size_bytes();
        }
        return total;
    }

private:
    static Session open_session(const backend::BackendOptions& options) {
        Session session;
        session.card = std::make_shared<Card>();  // its memory and executables hold it too
        session.arena = std::make_shared<Arena>(session.card);
        session.parameter_copies = std::make_shared<Arena>(session.card);
        session.gradient_workspace = std::make_shared<GradientWorkspace>(session.card);
        session.products = std::make_shared<Products>();
        if (options.autotune) {
            session.tuner =
                std::make_shared<Tuner>(session.card, session.products, options.tuning_file);
        }
        return session;
    }

    Session session_;
    size_t free_at_start_ = session_.card->free_bytes();
    std::shared_ptr<Pool> pool_ = std::make_shared<Pool>(session_.card);
    std::shared_ptr<Staging> staging_ = std::make_shared<Staging>(session_.card);
    plan::Capabilities capabilities_;
    std::vector<std::weak_ptr<CudaBuffer>> buffers_;
};

}  // namespace

std::string why_unavailable() {
    std::string reason;
    const std::optional<Error> error = attempt([&] { reason = why_card_unusable(); });
    return error ? error->message() : reason;
}

std::unique_ptr<backend::Backend> open(const backend::BackendOptions& options) {
    return std::make_unique<CudaBackend>(options);
}

backend::BackendEntry entry() {
    backend::BackendEntry entry;
    entry.name = "cuda";
    entry.unavailable_reason = [] { return why_unavailable(); };
    entry.open = [](const backend::BackendOptions& options) { return open(options); };
    entry.priority = 20;
    return entry;
}

}  // namespace lora::cuda
