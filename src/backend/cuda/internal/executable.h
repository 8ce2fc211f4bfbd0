// A plan made ready to run on a card: its launches, and the CUDA graph that runs them with one
// call, side by side where they share no written byte (hazards.h).
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/cuda/internal/card.h"
#include "backend/cuda/internal/tuner.h"
#include "backend/cuda/internal/weight.h"

namespace lora::cuda {

class CudaBuffer : public backend::Buffer {
public:
    CudaBuffer(std::shared_ptr<Card> card, size_t size_bytes)
        : memory_(std::move(card), size_bytes) {
        memory_.fill_zero();
    }
    [[nodiscard]] size_t size_bytes() const override { return memory_.size_bytes(); }
    void write(size_t offset_bytes, std::span<const std::byte> src) override {
        memory_.write(offset_bytes, src);
    }
    void read(size_t offset_bytes, std::span<std::byte> dst) const override {
        memory_.read(offset_bytes, dst);
    }
    void fill_zero() override { memory_.fill_zero(); }
    [[nodiscard]] DevicePtr address() const { return memory_.address(); }

private:
    DeviceMemory memory_;
};

// The memory of all temporaries, as large as the largest plan; executables build their graphs anew
// when it has moved. Given back with the last executable that uses it, so that what encodes
// pictures takes nothing from what trains.
class Arena {
public:
    explicit Arena(std::shared_ptr<Card> card) : card_(std::move(card)) {}
    void reserve(size_t size_bytes);
    void add_user() { ++num_users_; }
    void remove_user() {
        if (--num_users_ == 0) memory_.reset();
    }
    [[nodiscard]] DeviceMemory& memory() { return *memory_; }
    [[nodiscard]] int64_t generation() const { return generation_; }
    [[nodiscard]] size_t size_bytes() const { return memory_ ? memory_->size_bytes() : 0; }

private:
    std::shared_ptr<Card> card_;
    std::unique_ptr<DeviceMemory> memory_;
    int64_t generation_ = 0;
    int64_t num_users_ = 0;
};

// Holds an arena as long as it lives.
class ArenaUse {
public:
    explicit ArenaUse(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {
        arena_->add_user();
    }
    ~ArenaUse() { arena_->remove_user(); }
    ArenaUse(const ArenaUse&) = delete;
    ArenaUse& operator=(const ArenaUse&) = delete;

private:
    std::shared_ptr<Arena> arena_;
};

// Where groups of gradients add up their parts (gradient_group.h), made on first use.
class GradientWorkspace {
public:
    explicit GradientWorkspace(std::shared_ptr<Card> card) : card_(std::move(card)) {}
    [[nodiscard]] DeviceMemory& reserved();
    [[nodiscard]] size_t size_bytes() const { return memory_ ? memory_->size_bytes() : 0; }

private:
    std::shared_ptr<Card> card_;
    std::unique_ptr<DeviceMemory> memory_;
};

[[nodiscard]] size_t scratch_bytes(const DeviceInfo& device,
                                   const ir::Graph& graph,
                                   const ir::Node& node);

struct Session {  // what the executables of one backend share
    std::shared_ptr<Card> card;
    std::shared_ptr<Arena> arena;
    std::shared_ptr<Arena> parameter_copies;  // parameters in the compute type
    std::shared_ptr<GradientWorkspace> gradient_workspace;
    std::shared_ptr<Products> products;
    std::shared_ptr<Tuner> tuner;  // null: the first guess is taken
};
[[nodiscard]] std::unique_ptr<backend::Executable> make_executable(
    const Session& session, plan::MemoryPlan plan, const backend::Bindings& bindings);

}  // namespace lora::cuda
