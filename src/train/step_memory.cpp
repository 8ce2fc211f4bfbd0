#include "train/internal/step_memory.h"

#include <fmt/format.h>

namespace lora::train {
namespace {

// Set aside for a batch's inputs when max_memory limits the arena.
constexpr size_t kInputReserveBytes = size_t{4} << 20U;

// Frozen weights that a graph names, by name and type.
void add_weights(const ir::Graph& graph, std::map<std::string, size_t>& bytes) {
    for (const ir::Value& value : graph.values()) {
        if (value.kind == ir::ValueKind::kWeight) bytes[value.name] = value.num_bytes();
    }
}

}  // namespace

// Weights do not depend on sizes, so the smallest picture will do.
size_t weight_bytes(const TrainModel& model) {
    std::map<std::string, size_t> bytes;
    std::set<std::string> trained;
    const StepShape shape{.batch = 1, .latent_height = 8, .latent_width = 8, .num_chunks = 1};
    add_weights(build_step_graph(model, shape, {}, trained), bytes);
    if (!model.train_text_encoder) add_weights(build_context_graph(model, 1), bytes);
    size_t sum = 0;
    for (const auto& [name, size] : bytes) sum += size;
    return sum;
}

size_t StepMemory::beside_arena(const TrainModel& model, size_t input_bytes) const {
    const int64_t count = model.network.num_elements();
    const size_t copies = keeps_average ? 3 : 2;
    const size_t flat =
        copies * static_cast<size_t>(count) * sizeof(float) + state_bytes(model.network, optimizer);
    if (!backend->has_own_memory()) return flat + host_bytes + input_bytes;
    return weight_bytes(model) + flat + input_bytes + backend->overhead_bytes(count, model.dtype);
}

size_t StepMemory::arena_limit(const TrainModel& model) const {
    if (limit_bytes == 0) return 0;
    const size_t other = beside_arena(model, kInputReserveBytes);
    return limit_bytes > other ? limit_bytes - other : 1;
}

std::string remedy_hint(const StepMemory& memory,
                        const StepShape& largest,
                        const std::vector<MemoryRemedy>& remedies) {
    for (const MemoryRemedy& remedy : remedies) {
        StepShape shape = largest;
        shape.batch = remedy.batch;
        std::set<std::string> trained;
        const size_t arena = plan::smallest_arena_bytes(
            build_step_graph(remedy.model, shape, {}, trained), memory.backend->capabilities());
        const size_t needed = arena + memory.beside_arena(remedy.model, kInputReserveBytes);
        if (needed > memory.limit_bytes) continue;
        return fmt::format("{} would fit (it needs {:.2f} GiB)",
                           remedy.words,
                           static_cast<double>(needed) / (1 << 30));
    }
    return "raise max_memory, or lower resolution or network_dim";
}

}  // namespace lora::train
