#include "train/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "ir/dynamic_map.h"

namespace lora::train {
namespace {

using ir::UpdateRule;

std::vector<int> trained_groups(const Network& network,
                                const std::set<std::string>& trained,
                                const ParameterGroups& groups) {
    std::vector<int> result;
    for (size_t i = 0; i < network.entries().size(); ++i) {
        const bool is_trained = trained.contains(network.entries()[i].key);
        const int group = groups.of_entry[i];
        const bool moves = groups.groups[static_cast<size_t>(group)].scale > 0;
        result.push_back(is_trained && moves ? group : -1);
    }
    return result;
}

std::vector<double> to_doubles(DType dtype, std::span<const std::byte> bytes) {
    std::vector<double> values(bytes.size() / dtype_bytes(dtype));
    convert_elements(dtype, bytes, DType::kF64, std::as_writable_bytes(std::span(values)));
    return values;
}

std::vector<std::byte> from_doubles(DType dtype, std::span<const double> values) {
    std::vector<std::byte> bytes(values.size() * dtype_bytes(dtype));
    convert_elements(DType::kF64, std::as_bytes(values), dtype, bytes);
    return bytes;
}

std::vector<std::byte> read_bytes(const backend::Buffer& buffer) {
    std::vector<std::byte> bytes(buffer.size_bytes());
    buffer.read(0, bytes);
    return bytes;
}

}  // namespace

ParameterBuffers make_parameter_buffers(backend::Backend& backend, const Network& network) {
    const size_t bytes = static_cast<size_t>(network.num_elements()) * sizeof(float);
    return {backend.make_buffer(bytes), backend.make_buffer(bytes)};
}

std::vector<float> read_floats(const backend::Buffer& buffer) {
    std::vector<float> values(buffer.size_bytes() / sizeof(float));
    buffer.read(0, std::as_writable_bytes(std::span(values)));
    return values;
}

void write_floats(backend::Buffer& buffer, std::span<const float> values) {
    buffer.write(0, std::as_bytes(values));
}

Optimizer::Optimizer(backend::Backend& backend,
                     const ParameterBuffers& buffers,
                     const Network& network,
                     const std::set<std::string>& trained,
                     const OptimizerSpec& spec)
    : Optimizer(backend, buffers, network, trained, spec, make_parameter_groups(network)) {}

Optimizer::Optimizer(backend::Backend& backend,
                     const ParameterBuffers& buffers,
                     const Network& network,
                     const std::set<std::string>& trained,
                     const OptimizerSpec& spec,
                     ParameterGroups groups)
    : backend_(&backend),
      network_(&network),
      spec_(spec),
      buffers_(buffers),
      groups_(std::move(groups)),
      dtype_(buffers.dtype) {
    bindings_["values"] = {nullptr, buffers.values, 0};
    bindings_["gradients"] = {nullptr, buffers.gradients, 0};
    for (StateSlot& slot : state_slots(network, spec, dtype_)) {
        const auto buffer = backend.make_buffer(slot.num_bytes());
        bindings_["state." + slot.name] = {nullptr, buffer, 0};
        slots_.push_back({std::move(slot), buffer});
    }
    schedule_ = backend.make_buffer(4 * groups_.groups.size() * dtype_bytes(dtype_));
    bindings_["schedule"] = {nullptr, schedule_, 0};
    compile(trained);
    start();
}

void Optimizer::retrain(const std::set<std::string>& trained) { compile(trained); }

void Optimizer::compile(const std::set<std::string>& trained) {
    const UpdateTables tables =
        update_tables(*network_, spec_, trained_groups(*network_, trained, groups_));
    add_table("pieces", std::as_bytes(std::span(tables.pieces)));
    add_table("blocks", std::as_bytes(std::span(tables.blocks)));
    add_table("tensors", std::as_bytes(std::span(tables.tensors)));
    if (!tables.blocks.empty()) {
        const std::vector<float> maps = ir::dynamic_maps();
        add_table("maps", std::as_bytes(std::span(maps)));
    }
    const auto num_groups = static_cast<int64_t>(groups_.groups.size());
    executable_ = backend_->compile(
        plan::make_plan(build_update_graph(*network_, spec_, tables, num_groups, dtype_),
                        backend_->capabilities()),
        bindings_);
}

void Optimizer::add_table(const char* name, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    const auto buffer = backend_->make_buffer(bytes.size());
    buffer->write(0, bytes);
    bindings_[name] = {nullptr, buffer, 0};
}

const Optimizer::Slot* Optimizer::find(std::string_view name) const {
    for (const Slot& slot : slots_) {
        if (slot.layout.name == name) return &slot;
    }
    return nullptr;
}

void Optimizer::start() {
    const std::vector<std::byte> values = read_bytes(*buffers_.values);
    for (const Slot& slot : slots_) {
        slot.buffer->fill_zero();
        if (slot.layout.starts_at_values) {
            const size_t bytes = std::min(values.size(), slot.buffer->size_bytes());
            slot.buffer->write(0, std::span(values).first(bytes));
        }
        if (slot.layout.name == "globals") {
            // d, numerator, largest d, norm of the first gradient, weights, largest rate, d0.
            const std::array<double, 8> globals = {spec_.d0, 0, spec_.d0, 0, 0, 0, spec_.d0, 0};
            slot.buffer->write(0, from_doubles(dtype_, globals));
        }
    }
}

double Optimizer::effective_rate(int64_t step, double rate) const {
    if (!spec_.relative_step) return rate;
    const auto t = static_cast<double>(step);
    return std::min(spec_.warmup_init ? 1e-6 * t : 1e-2, 1 / std::sqrt(t));
}

// What stands behind the rate in a row of the schedule (ir/op.h, backend/reference/update.cpp).
std::array<double, 3> Optimizer::schedule_numbers(double t) const {
    const ir::UpdateAttributes& u = spec_.update;
    const double bias1 = 1 - std::pow(u.beta1, t);
    const double bias2 = 1 - std::pow(u.beta2, t);
    const double first = t == 1 ? 1 : 0;
    switch (u.rule) {
        case UpdateRule::kAdamW: return {bias1, bias2, 0};
        case UpdateRule::kSgdNesterov: return {first, 0, 0};
        case UpdateRule::kScheduleFreeAdamW: return {std::pow(t, spec_.r), 0, 0};
        case UpdateRule::kDAdaptAdam:
        case UpdateRule::kProdigy:
            return {spec_.use_bias_correction ? std::sqrt(bias2) / bias1 : 1.0, 0, 0};
        case UpdateRule::kDAdaptAdan: return {1, first, 0};
        case UpdateRule::kAdafactor: {
            const double rest = std::pow(t, spec_.decay_rate);
            return {1 - rest, rest, 0};
        }
        default: return {1, 0, 0};
    }
}

std::vector<double> Optimizer::group_rates(const Rates& rates) const {
    std::vector<double> result;
    for (const ParameterGroup& group : groups_.groups) {
        const double rate =
            group.part == NetworkPart::kTextEncoder ? rates.text_encoder : rates.unet;
        result.push_back(rate * group.scale);
    }
    return result;
}

std::vector<std::pair<std::string, double>> Optimizer::named_rates(const Rates& rates) const {
    std::vector<std::pair<std::string, double>> result;
    const bool only_parts =
        std::all_of(groups_.groups.begin(), groups_.groups.end(), [](const ParameterGroup& group) {
            return group.name == "unet" || group.name == "textencoder";
        });
    if (only_parts) return result;
    const std::vector<double> by_group = group_rates(rates);
    for (size_t i = 0; i < by_group.size(); ++i) {
        result.emplace_back(groups_.groups[i].name, by_group[i]);
    }
    return result;
}

void Optimizer::write_schedule(int64_t step, const Rates& rates) {
    const auto t = static_cast<double>(step);
    std::vector<double> schedule;
    std::vector<double> by_group = group_rates(rates);
    // What is common to all groups follows from the first row, which must not be that of a part
    // that is not trained. Methods that find their own rate have the same one everywhere.
    const double largest = *std::max_element(by_group.begin(), by_group.end());
    if (by_group[0] == 0) by_group[0] = largest;
    for (double rate : by_group) {
        rate = effective_rate(step, spec_.adapts_rate() ? largest : rate);
        if (spec_.update.rule == UpdateRule::kScheduleFreeAdamW) {
            const double warmup = t <= spec_.warmup_steps ? t / spec_.warmup_steps : 1.0;
            rate *= warmup * std::sqrt(1 - std::pow(spec_.update.beta2, t));
        }
        const std::array<double, 3> rest = schedule_numbers(t);
        schedule.insert(schedule.end(), {rate, rest[0], rest[1], rest[2]});
    }
    schedule_->write(0, from_doubles(dtype_, schedule));
}

double Optimizer::update(int64_t step, const Rates& rates) {
    write_schedule(step, rates);
    executable_->run();
    std::vector<std::byte> norm(dtype_bytes(dtype_));
    executable_->read_output("grad_norm", norm);
    return to_doubles(dtype_, norm)[0];
}

double Optimizer::adapted_distance() const {
    const Slot* globals = spec_.adapts_rate() ? find("globals") : nullptr;
    return globals == nullptr ? 0.0 : to_doubles(dtype_, read_bytes(*globals->buffer))[0];
}

std::vector<float> Optimizer::finished_values() const {
    std::vector<float> values = read_floats(*buffers_.values);
    const bool is_average = spec_.update.rule == UpdateRule::kScheduleFreeAdamW;
    if (!is_average || spec_.update.beta1 == 0) return values;
    // y = (1 - beta1) z + beta1 x, solved for x.
    const std::vector<float> z = read_floats(*find("z")->buffer);
    const double weight = 1 - 1 / spec_.update.beta1;
    for (size_t i = 0; i < values.size(); ++i) {
        const double y = static_cast<double>(values[i]);
        values[i] = static_cast<float>(y + weight * (static_cast<double>(z[i]) - y));
    }
    return values;
}

std::vector<StateSlot> Optimizer::slots() const {
    std::vector<StateSlot> result;
    for (const Slot& slot : slots_) result.push_back(slot.layout);
    return result;
}

std::vector<StateContent> Optimizer::read_states() const {
    std::vector<StateContent> result;
    for (const Slot& slot : slots_) result.push_back({slot.layout, read_bytes(*slot.buffer)});
    return result;
}

void Optimizer::write_states(const std::vector<StateContent>& states) {
    LORA_CHECK(states.size() == slots_.size(), "states of another optimizer");
    for (size_t i = 0; i < states.size(); ++i) {
        LORA_CHECK(states[i].bytes.size() == slots_[i].buffer->size_bytes(),
                   "a state of another size");
        slots_[i].buffer->write(0, states[i].bytes);
    }
}

}  // namespace lora::train
