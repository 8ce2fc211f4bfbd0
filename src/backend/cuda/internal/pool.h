// Memory of weights, cut from large pieces: the driver hands memory out in multiples of 2 MiB, and
// a model has a thousand tensors that would each waste a part of the last one. Threads  one thread
// at a time.
#pragma once

#include <map>
#include <memory>

#include "backend/cuda/internal/card.h"

namespace lora::cuda {

class Pool {
public:
    explicit Pool(std::shared_ptr<Card> card) : card_(std::move(card)) {}
    // Aligned to 256 bytes. Errors  kOutOfMemory.
    [[nodiscard]] DevicePtr take(size_t size_bytes);
    void give_back(DevicePtr address, size_t size_bytes);
    // Of the card, gaps included.
    [[nodiscard]] size_t held_bytes() const;

private:
    using Gaps = std::map<DevicePtr, size_t>;

    std::shared_ptr<Card> card_;
    std::map<DevicePtr, std::unique_ptr<DeviceMemory>> pieces_;
    Gaps gaps_;  // within pieces, none beside another of the same piece
};

// A piece of a pool, as long as it lives.
class PooledMemory {
public:
    PooledMemory(std::shared_ptr<Pool> pool, size_t size_bytes)
        : pool_(std::move(pool)), address_(pool_->take(size_bytes)), size_bytes_(size_bytes) {}
    ~PooledMemory() { pool_->give_back(address_, size_bytes_); }
    PooledMemory(const PooledMemory&) = delete;
    PooledMemory& operator=(const PooledMemory&) = delete;
    [[nodiscard]] DevicePtr address() const { return address_; }
    [[nodiscard]] size_t size_bytes() const { return size_bytes_; }

private:
    std::shared_ptr<Pool> pool_;
    DevicePtr address_;
    size_t size_bytes_;
};

}  // namespace lora::cuda
