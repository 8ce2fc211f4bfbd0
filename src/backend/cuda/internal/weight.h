// A frozen tensor on the card, in the forms that kernels ask for: plain, or channels-last for the
// filters of convolutions. Each form is made once, on first use, and shared by all executables; the
// file's bytes travel in pieces and are converted on the card.
// Threads  one thread at a time.
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/cuda/internal/pool.h"

namespace lora::cuda {

// Memory that weights pass through while they are loaded; let go by release().
class Staging {
public:
    explicit Staging(std::shared_ptr<Card> card) : card_(std::move(card)) {}
    // At least `size_bytes`.
    [[nodiscard]] DeviceMemory& memory(size_t size_bytes);
    void release() { memory_.reset(); }

private:
    std::shared_ptr<Card> card_;
    std::unique_ptr<DeviceMemory> memory_;
};

enum class WeightForm : uint8_t { kPlain, kChannelsLast };

class CudaWeight : public backend::Weight {
public:
    CudaWeight(std::shared_ptr<Card> card,
               std::shared_ptr<Pool> pool,
               std::shared_ptr<Staging> staging,
               const TensorView& source,
               std::shared_ptr<const void> keep_alive,
               DType dtype);

    [[nodiscard]] DType dtype() const { return dtype_; }
    [[nodiscard]] const TensorView& source() const { return source_; }
    [[nodiscard]] DevicePtr form(WeightForm form);

private:
    [[nodiscard]] std::unique_ptr<PooledMemory> make(int64_t taps);
    [[nodiscard]] std::unique_ptr<PooledMemory> make_bytes(int64_t taps);

    std::shared_ptr<Card> card_;
    std::shared_ptr<Pool> pool_;        // one for all weights of a backend, as
    std::shared_ptr<Staging> staging_;  // this
    TensorView source_;
    std::shared_ptr<const void> keep_alive_;
    DType dtype_;
    std::unique_ptr<PooledMemory> plain_;
    std::unique_ptr<PooledMemory> channels_last_;
};

// The result of dequantize that lies channels-last though its shape says row-major: a filter that
// only convolutions read, which want it as a frozen filter lies. One that is read back is as it
// says.
[[nodiscard]] bool is_unpacked_filter(const ir::Graph& graph, const ir::Value& value);

}  // namespace lora::cuda
