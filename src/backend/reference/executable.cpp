#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "backend/reference/internal/kernel.h"
#include "backend/reference/internal/storage.h"
#include "base/check.h"
#include "ir/print.h"

namespace lora::reference {
namespace {

using Clock = std::chrono::steady_clock;

class ReferenceExecutable final : public backend::Executable {
public:
    ReferenceExecutable(plan::MemoryPlan plan,
                        const backend::Bindings& bindings,
                        std::shared_ptr<Arena> arena)
        : plan_(std::move(plan)), arena_(std::move(arena)) {
        if (arena_->size() < plan_.arena_bytes) arena_->resize(plan_.arena_bytes);
        addresses_.resize(plan_.graph.values().size(), nullptr);
        for (const ir::Node& node : plan_.graph.nodes()) {
            LORA_CHECK(ir::op_info(node.op).is_view || kernel_for(node.op) != nullptr,
                       fmt::format("{} has no kernel", ir::op_info(node.op).name));
            for (const ir::ValueId id : node.inputs) {
                if (id.valid()) place(id, bindings);
            }
            for (const ir::ValueId id : node.outputs) place(id, bindings);
        }
    }

    void run() override {
        // Another executable may have moved the arena by growing it.
        for (const auto& [value, offset] : temporaries_)
            addresses_[value] = arena_->data() + offset;
        node_times_.clear();
        for (size_t i = 0; i < plan_.graph.nodes().size(); ++i) {
            const ir::Node& node = plan_.graph.nodes()[i];
            const Kernel kernel = kernel_for(node.op);
            if (kernel == nullptr) continue;
            const Clock::time_point start = Clock::now();
            kernel(NodeRun(plan_.graph, node, addresses_));
            if (!tracing_) continue;
            const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
            node_times_.push_back({narrow<int32_t>(i), elapsed.count()});
        }
    }

    void read_output(std::string_view name, std::span<std::byte> dst) const override {
        const ir::ValueId id = plan_.graph.at(name);
        const ir::Value& value = plan_.graph.value(id);
        LORA_CHECK(value.is_output && dst.size() == value.num_bytes(),
                   fmt::format("cannot read {} into {} bytes", name, dst.size()));
        const ir::ValueId source = ir::storage_of(plan_.graph, id);
        const std::byte* src = is_temp(source) ? arena_->data() + slot_of(source).offset_bytes
                                               : addresses_[static_cast<size_t>(source.index)];
        if (!dst.empty()) std::memcpy(dst.data(), src, dst.size());
    }

    [[nodiscard]] const plan::MemoryPlan& plan() const override { return plan_; }
    [[nodiscard]] const std::vector<backend::NodeTime>& node_times() const override {
        return node_times_;
    }
    void set_tracing(bool on) override { tracing_ = on; }

private:
    [[nodiscard]] bool is_temp(ir::ValueId id) const {
        return plan_.graph.value(id).kind == ir::ValueKind::kTemp;
    }

    [[nodiscard]] const plan::Slot& slot_of(ir::ValueId id) const {
        return plan_.values[static_cast<size_t>(id.index)];
    }

    // Finds where a value lies; a view lies where its source does.
    void place(ir::ValueId id, const backend::Bindings& bindings) {
        const ir::ValueId source = ir::storage_of(plan_.graph, id);
        const ir::Value& value = plan_.graph.value(source);
        if (is_temp(source)) {
            const plan::Slot& slot = slot_of(source);
            LORA_CHECK(slot.used() && slot.size_bytes >= value.num_bytes() &&
                           slot.offset_bytes + slot.size_bytes <= plan_.arena_bytes,
                       fmt::format("value {} has no place in the arena", source.index));
            temporaries_.emplace_back(static_cast<size_t>(id.index), slot.offset_bytes);
            return;
        }
        std::byte*& address = addresses_[static_cast<size_t>(source.index)];
        if (address == nullptr) {
            const auto it = bindings.find(value.name);
            LORA_CHECK(it != bindings.end(), "nothing bound to " + value.name);
            address = bound_address(value, it->second);
        }
        addresses_[static_cast<size_t>(id.index)] = address;
    }

    std::byte* bound_address(const ir::Value& value, const backend::Binding& binding) {
        if (binding.weight != nullptr) {
            auto* weight = dynamic_cast<HostWeight*>(binding.weight.get());
            LORA_CHECK(weight != nullptr && value.kind == ir::ValueKind::kWeight &&
                           weight->source().shape.num_elements() == value.shape.num_elements(),
                       "another weight bound to " + value.name + " " + ir::describe(value));
            weights_.push_back(binding.weight);
            return weight->bytes_as(value.dtype);
        }
        auto* buffer = dynamic_cast<HostBuffer*>(binding.buffer.get());
        LORA_CHECK(buffer != nullptr, "neither weight nor buffer bound to " + value.name);
        LORA_CHECK(binding.offset_bytes <= buffer->size_bytes() &&
                       value.num_bytes() <= buffer->size_bytes() - binding.offset_bytes,
                   fmt::format("{} {} does not fit {} bytes at {}",
                               value.name,
                               ir::describe(value),
                               buffer->size_bytes(),
                               binding.offset_bytes));
        buffers_.push_back(binding.buffer);
        return buffer->data() + binding.offset_bytes;
    }

    plan::MemoryPlan plan_;
    std::shared_ptr<Arena> arena_;
    std::vector<std::byte*> addresses_;                      // by value index
    std::vector<std::pair<size_t, size_t>> temporaries_;     // value index, offset in the arena
    std::vector<std::shared_ptr<backend::Weight>> weights_;  // what addresses_ point into
    std::vector<std::shared_ptr<backend::Buffer>> buffers_;
    std::vector<backend::NodeTime> node_times_;
    bool tracing_ = false;
};

}  // namespace

std::unique_ptr<backend::Executable> make_executable(plan::MemoryPlan plan,
                                                     const backend::Bindings& bindings,
                                                     std::shared_ptr<Arena> arena) {
    return std::make_unique<ReferenceExecutable>(std::move(plan), bindings, std::move(arena));
}

}  // namespace lora::reference
