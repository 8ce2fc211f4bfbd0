#include "train/ema.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "ir/builder.h"

namespace lora::train {
namespace {

ir::Graph build_graph(int64_t num_elements) {
    ir::Graph graph;
    ir::Builder builder(graph);
    const Shape flat{1, num_elements};
    const ir::ValueId average = builder.state("average", flat);
    const ir::ValueId values = builder.param("values", flat);
    const ir::ValueId kept = builder.input("kept", DType::kF32, Shape{1});
    const ir::ValueId added = builder.input("added", DType::kF32, Shape{1});
    builder.node(ir::OpKind::kMixRows, {average, values, kept, added}, {}, average);
    return graph;
}

}  // namespace

double ema_decay_at(double decay, int64_t step) {
    const auto t = static_cast<double>(step);
    return std::min(decay, (1 + t) / (10 + t));
}

Ema::Ema(backend::Backend& backend,
         const ParameterBuffers& buffers,
         const Network& network,
         double decay)
    : buffers_(buffers),
      decay_(decay),
      average_(backend.make_buffer(buffers.values->size_bytes())),
      factors_(backend.make_buffer(2 * sizeof(float))) {
    slot_.name = "ema";
    slot_.num_elements = network.num_elements();
    for (const ParameterEntry& entry : network.entries()) {
        slot_.tensors.push_back({"ema." + entry.key, entry.shape, entry.offset});
    }
    const backend::Bindings bindings{{"average", {nullptr, average_, 0}},
                                     {"values", {nullptr, buffers.values, 0}},
                                     {"kept", {nullptr, factors_, 0}},
                                     {"added", {nullptr, factors_, sizeof(float)}}};
    executable_ = backend.compile(
        plan::make_plan(build_graph(network.num_elements()), backend.capabilities()), bindings);
    start();
}

void Ema::start() { write_floats(*average_, read_floats(*buffers_.values)); }

void Ema::update(int64_t step) {
    const double decay = ema_decay_at(decay_, step);
    const std::array<float, 2> factors{static_cast<float>(decay), static_cast<float>(1 - decay)};
    factors_->write(0, std::as_bytes(std::span(factors)));
    executable_->run();
}

StateContent Ema::read_state() const {
    StateContent content{slot_, std::vector<std::byte>(average_->size_bytes())};
    average_->read(0, content.bytes);
    return content;
}

void Ema::write_state(const StateContent& state) {
    LORA_CHECK(state.bytes.size() == average_->size_bytes(), "an average of another network");
    average_->write(0, state.bytes);
}

std::vector<StateSlot> slots_with(const Optimizer& optimizer, const Ema* ema) {
    std::vector<StateSlot> slots = optimizer.slots();
    if (ema != nullptr) slots.push_back(ema->slot());
    return slots;
}

std::vector<StateContent> read_states_with(const Optimizer& optimizer, const Ema* ema) {
    std::vector<StateContent> states = optimizer.read_states();
    if (ema != nullptr) states.push_back(ema->read_state());
    return states;
}

void write_states_with(Optimizer& optimizer, Ema* ema, std::vector<StateContent> states) {
    if (ema != nullptr) {
        LORA_CHECK(!states.empty(), "states without the average");
        ema->write_state(states.back());
        states.pop_back();
    }
    optimizer.write_states(states);
}

}  // namespace lora::train
