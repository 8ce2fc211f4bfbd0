// Runs a graph on any backend with random contents: makes buffers and weights, compiles, runs,
// reads. Persistent values lie in one buffer with guard bytes between them; every run checks the
// guards.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "support/op_case.h"

namespace lora::support {

// Contents that depend only on seed, name, step and fill, rounded to the value's type.
[[nodiscard]] Tensor random_tensor(const ir::Value& value,
                                   const Fill& fill,
                                   uint64_t seed,
                                   uint32_t step = 0);

// A plan that gives every temporary its own place: no fusion, no reuse, the graph's own order.
[[nodiscard]] plan::MemoryPlan plan_without_reuse(ir::Graph graph);

class GraphRunner {
public:
    // Fills every outside value; states start at zero unless a fill names them.
    GraphRunner(backend::Backend& backend,
                plan::MemoryPlan plan,
                const std::unordered_map<std::string, Fill>& fills,
                uint64_t seed);

    // Throws kInternal when the run wrote outside its values.
    void run();
    // New contents for the inputs, as of micro-step `step`.
    void fill_inputs(uint32_t step);

    // An output, parameter, state or input, in double.
    [[nodiscard]] std::vector<double> read(std::string_view name) const;
    void write(std::string_view name, std::span<const double> values);

    [[nodiscard]] const plan::MemoryPlan& plan() const { return executable_->plan(); }
    [[nodiscard]] backend::Executable& executable() { return *executable_; }

private:
    struct Place {
        ir::Value value;
        size_t offset_bytes = 0;
    };
    void bind_weight(backend::Backend& backend, const ir::Value& value, const Fill& fill);
    void check_guards() const;
    [[nodiscard]] const Place& place(std::string_view name) const;

    uint64_t seed_;
    std::unordered_map<std::string, Fill> fills_;
    std::vector<Place> places_;
    std::shared_ptr<backend::Buffer> buffer_;  // bindings share it
    backend::Bindings bindings_;
    std::unique_ptr<backend::Executable> executable_;
};

}  // namespace lora::support
