// The update of the trainable parameters: runs the graph of update_graph.h over buffers that live
// on the device. Gradients come from train_step.h; rates from lr_schedule.h. A parameter without
// gradient is touched by nothing: no decay, no moments.
// Shapes   parameters and gradients lie in flat fp32 buffers laid out by Network.
// Threads  one thread.
#pragma once

#include <array>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "train/network.h"
#include "train/optimizer_spec.h"
#include "train/parameter_groups.h"
#include "train/update_graph.h"

namespace lora::train {

// Parameters and gradients, each of Network::num_elements() floats, or doubles in tests of an
// optimizer's definition.
struct ParameterBuffers {
    std::shared_ptr<backend::Buffer> values;
    std::shared_ptr<backend::Buffer> gradients;
    DType dtype = DType::kF32;
};
[[nodiscard]] ParameterBuffers make_parameter_buffers(backend::Backend& backend,
                                                      const Network& network);

// Whole-buffer copies.
[[nodiscard]] std::vector<float> read_floats(const backend::Buffer& buffer);
void write_floats(backend::Buffer& buffer, std::span<const float> values);

// Rates of the network's parts.
struct Rates {
    double text_encoder = 0;
    double unet = 0;
};

class Optimizer {
public:
    // Backend and network must outlive the optimizer.
    // `trained`: keys of the parameters that have a gradient.
    Optimizer(backend::Backend& backend,
              const ParameterBuffers& buffers,
              const Network& network,
              const std::set<std::string>& trained,
              const OptimizerSpec& spec,
              ParameterGroups groups);
    // One group a part.
    Optimizer(backend::Backend& backend,
              const ParameterBuffers& buffers,
              const Network& network,
              const std::set<std::string>& trained,
              const OptimizerSpec& spec = {});

    // Other parameters have a gradient from now on; states stay as they are.
    void retrain(const std::set<std::string>& trained);
    // States of a fresh run, once the parameters have their first values.
    void start();
    // Update number `step` (1-based), from the gradients in the buffer. Returns their norm before
    // clipping.
    double update(int64_t step, const Rates& rates);

    // In the order of the groups.
    [[nodiscard]] std::vector<double> group_rates(const Rates& rates) const;
    // The step size that adafactor's relative_step gives to update `step`; elsewhere `rate`.
    [[nodiscard]] double effective_rate(int64_t step, double rate) const;
    // Rates of the groups by name, when there are more groups than parts.
    [[nodiscard]] std::vector<std::pair<std::string, double>> named_rates(const Rates& rates) const;
    // d of the methods that adapt their rate; 0 elsewhere.
    [[nodiscard]] double adapted_distance() const;
    // The parameters that a file should hold: of schedule-free methods the average.
    [[nodiscard]] std::vector<float> finished_values() const;

    [[nodiscard]] std::vector<StateContent> read_states() const;
    // Errors  kInternal when the states are other ones than this optimizer's.
    void write_states(const std::vector<StateContent>& states);
    [[nodiscard]] std::vector<StateSlot> slots() const;
    [[nodiscard]] const plan::MemoryPlan& plan() const { return executable_->plan(); }

private:
    struct Slot {
        StateSlot layout;
        std::shared_ptr<backend::Buffer> buffer;
    };
    [[nodiscard]] const Slot* find(std::string_view name) const;
    [[nodiscard]] std::array<double, 3> schedule_numbers(double step) const;
    void write_schedule(int64_t step, const Rates& rates);
    void compile(const std::set<std::string>& trained);
    void add_table(const char* name, std::span<const std::byte> bytes);

    backend::Backend* backend_;
    const Network* network_;
    OptimizerSpec spec_;
    ParameterBuffers buffers_;
    ParameterGroups groups_;
    DType dtype_;
    std::vector<Slot> slots_;
    std::shared_ptr<backend::Buffer> schedule_;  // [G, 4]
    backend::Bindings bindings_;
    std::unique_ptr<backend::Executable> executable_;
};

}  // namespace lora::train
