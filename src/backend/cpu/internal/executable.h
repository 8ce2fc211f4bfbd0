// A plan made ready to run: each node's program, and where its operands lie.
#pragma once

#include <functional>
#include <memory>

#include "backend/backend.h"
#include "backend/cpu/internal/device.h"
#include "backend/cpu/internal/weight.h"

namespace lora::cpu {

// The memory of all temporaries, as large as the largest plan; executables find their addresses
// again when it has moved.
class Arena {
public:
    void reserve(size_t size_bytes);
    [[nodiscard]] std::byte* data() const { return memory_ == nullptr ? nullptr : memory_->data(); }
    [[nodiscard]] int64_t generation() const { return generation_; }

private:
    std::unique_ptr<Memory> memory_;
    int64_t generation_ = 0;
};

[[nodiscard]] size_t scratch_bytes(const Device& device,
                                   const ir::Graph& graph,
                                   const ir::Node& node);
[[nodiscard]] bool can_run_in_place(const ir::Graph& graph, const ir::Node& node);

using BufferAddress = std::function<std::byte*(const backend::Buffer&)>;
[[nodiscard]] std::unique_ptr<backend::Executable> make_executable(
    std::shared_ptr<Device> device,
    std::shared_ptr<Arena> arena,
    plan::MemoryPlan plan,
    const backend::Bindings& bindings,
    const BufferAddress& address);

}  // namespace lora::cpu
