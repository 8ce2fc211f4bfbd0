#include "backend/cpu/internal/executable.h"

#include <chrono>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "ir/cost.h"
#include "ir/print.h"

namespace lora::cpu {
namespace {

using ir::OpFamily;
using ir::OpKind;

Program make_program(const NodeContext& c) {
    switch (ir::op_info(c.node.op).family) {
        case OpFamily::kMovement: return movement_program(c);
        case OpFamily::kProduct: return product_program(c);
        case OpFamily::kHadamard: return hadamard_program(c);
        case OpFamily::kNorm: return norm_program(c);
        case OpFamily::kAttention: return attention_program(c);
        case OpFamily::kElementwise: return elementwise_program(c);
        case OpFamily::kSource: return source_program(c);
        case OpFamily::kLoss: return loss_program(c);
        case OpFamily::kUpdate: return update_program(c);
    }
    LORA_CHECK(false, "an operator of no family");
    return {};
}

// Waking the other threads and waiting for them costs some 50 us where idle threads sleep
// (let_idle_threads_sleep), in a virtual machine more; a node that one thread does in about that
// time stays on one. The rates are a low guess of one core's, a half to a third of what it does.
constexpr double kWorthWaking_s = 200e-6;
constexpr double kFlopsPerS = 40e9;
constexpr double kBytesPerS = 4e9;

bool is_worth_waking(const ir::Graph& graph, const ir::Node& node) {
    return ir::num_flops(graph, node) / kFlopsPerS + ir::num_bytes(graph, node) / kBytesPerS >
           kWorthWaking_s;
}

// Where one value is: an address of its own, or a place in the arena.
struct Location {
    std::byte* fixed = nullptr;
    size_t arena_offset = plan::Slot::kNone;

    [[nodiscard]] std::byte* address(std::byte* arena) const {
        return arena_offset == plan::Slot::kNone ? fixed : arena + arena_offset;
    }
};

struct Step {
    int32_t node = 0;
    Program program;
    int team = 1;  // threads
    Args args;
    std::vector<Location> inputs;
    std::vector<Location> outputs;
    Location scratch;
};

class CpuExecutable : public backend::Executable {
public:
    CpuExecutable(std::shared_ptr<Device> device,
                  std::shared_ptr<Arena> arena,
                  plan::MemoryPlan plan)
        : device_(std::move(device)), arena_(std::move(arena)), plan_(std::move(plan)) {
        const char* trace = std::getenv("LORA_TRACE");
        print_trace_ = trace != nullptr && std::strcmp(trace, "1") == 0;
    }

    void build(const backend::Bindings& bindings, const BufferAddress& address) {
        bindings_ = bindings;
        arena_->reserve(plan_.arena_bytes);
        const std::vector<ir::Node>& nodes = plan_.graph.nodes();
        for (size_t i = 0; i < nodes.size(); ++i) {
            if (ir::op_info(nodes[i].op).is_view) continue;
            add_step(static_cast<int32_t>(i), address);
        }
        device_->threads.adopt();
    }

    void run() override {
        if (generation_ != arena_->generation()) place_all();
        node_times_.clear();
        if (!tracing_ && !print_trace_) {
            for (const Step& step : steps_) run(step);
            device_->threads.adopt();
            return;
        }
        for (const Step& step : steps_) {
            const auto start = std::chrono::steady_clock::now();
            run(step);
            const std::chrono::duration<double, std::milli> took =
                std::chrono::steady_clock::now() - start;
            node_times_.push_back({step.node, took.count()});
            if (print_trace_) print(step, took.count());
        }
        device_->threads.adopt();
    }

    void read_output(std::string_view name, std::span<std::byte> dst) const override {
        const ir::ValueId id = plan_.graph.at(name);
        LORA_CHECK(plan_.graph.value(id).num_bytes() == dst.size(), "output of another size");
        const Location place = arena_location(id);
        LORA_CHECK(place.arena_offset != plan::Slot::kNone, "output without a place in the arena");
        std::memcpy(dst.data(), place.address(arena_->data()), dst.size());
    }

    [[nodiscard]] const plan::MemoryPlan& plan() const override { return plan_; }
    [[nodiscard]] const std::vector<backend::NodeTime>& node_times() const override {
        return node_times_;
    }
    void set_tracing(bool on) override { tracing_ = on; }

private:
    void run(const Step& step) const {
        device_->threads.adopt(step.team);
        step.program.run(step.args);
    }

    [[nodiscard]] const backend::Binding& binding(const ir::Value& value) const {
        const auto found = bindings_.find(value.name);
        if (found == bindings_.end()) {
            throw Error(ErrorCode::kInternal, fmt::format("nothing is bound to {}", value.name));
        }
        return found->second;
    }

    [[nodiscard]] Location arena_location(ir::ValueId id) const {
        const plan::Slot& slot = plan_.values[static_cast<size_t>(id.index)];
        return {nullptr, slot.offset_bytes};
    }

    [[nodiscard]] std::shared_ptr<CpuWeight> weight_of(ir::ValueId id) const {
        const ir::Value& value = plan_.graph.value(ir::storage_of(plan_.graph, id));
        if (value.kind != ir::ValueKind::kWeight) return nullptr;
        auto weight = std::dynamic_pointer_cast<CpuWeight>(binding(value).weight);
        LORA_CHECK(weight != nullptr, "a weight of another backend");
        LORA_CHECK(weight->source().shape.num_elements() == value.shape.num_elements() &&
                       weight->dtype() == value.dtype,
                   "a weight of another size or type: " + value.name);
        return weight;
    }

    // `held`: the program keeps the weight in its own form.
    [[nodiscard]] Location locate(ir::ValueId id, bool held, const BufferAddress& address) {
        if (!id.valid() || held) return {};
        const ir::ValueId source = ir::storage_of(plan_.graph, id);
        const ir::Value& value = plan_.graph.value(source);
        if (value.kind == ir::ValueKind::kTemp) return arena_location(id);
        if (value.kind == ir::ValueKind::kWeight) {
            plain_weights_.push_back(weight_of(source)->plain());
            return {plain_weights_.back()->data(), plan::Slot::kNone};
        }
        const backend::Binding& bound = binding(value);
        LORA_CHECK(bound.buffer != nullptr &&
                       bound.offset_bytes + value.num_bytes() <= bound.buffer->size_bytes(),
                   "no buffer, or too small a one, for " + value.name);
        return {address(*bound.buffer) + bound.offset_bytes, plan::Slot::kNone};
    }

    void add_step(int32_t index, const BufferAddress& address) {
        const ir::Node& node = plan_.graph.nodes()[static_cast<size_t>(index)];
        const NodeContext context{*device_, plan_.graph, node, [&](int i) {
                                      return weight_of(node.inputs[static_cast<size_t>(i)]);
                                  }};
        Step step;
        step.node = index;
        if (is_worth_waking(plan_.graph, node)) step.team = device_->threads.count();
        // oneDNN cuts a primitive for the threads of the moment it is made.
        device_->threads.adopt(step.team);
        step.program = make_program(context);
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            const bool held = (step.program.held_inputs >> i & 1U) != 0;
            step.inputs.push_back(locate(node.inputs[i], held, address));
        }
        for (const ir::ValueId id : node.outputs) {
            step.outputs.push_back(locate(id, false, address));
        }
        step.scratch.arena_offset = plan_.scratch[static_cast<size_t>(index)].offset_bytes;
        step.args.in.resize(step.inputs.size());
        step.args.out.resize(step.outputs.size());
        steps_.push_back(std::move(step));
    }

    void place_all() {
        std::byte* base = arena_->data();
        for (Step& step : steps_) {
            for (size_t i = 0; i < step.inputs.size(); ++i) {
                step.args.in[i] = step.inputs[i].address(base);
            }
            for (size_t i = 0; i < step.outputs.size(); ++i) {
                step.args.out[i] = step.outputs[i].address(base);
            }
            step.args.scratch = step.scratch.address(base);
        }
        generation_ = arena_->generation();
    }

    void print(const Step& step, double ms) const {
        const ir::Node& node = plan_.graph.nodes()[static_cast<size_t>(step.node)];
        std::string line = fmt::format("{:5} {:9.3f} ms {:24} [{}]",
                                       step.node,
                                       ms,
                                       ir::op_info(node.op).name,
                                       step.program.choice);
        for (const ir::ValueId id : node.inputs) {
            if (id.valid()) line += " " + ir::describe(plan_.graph.value(id));
        }
        log::info("{}  # {}", line, node.scope);
    }

    std::shared_ptr<Device> device_;
    std::shared_ptr<Arena> arena_;
    plan::MemoryPlan plan_;
    backend::Bindings bindings_;
    std::vector<Step> steps_;
    std::vector<std::shared_ptr<Memory>> plain_weights_;  // shared with the weights' own tables
    std::vector<backend::NodeTime> node_times_;
    int64_t generation_ = -1;
    bool tracing_ = false;
    bool print_trace_ = false;
};

}  // namespace

void Arena::reserve(size_t size_bytes) {
    if (memory_ != nullptr && memory_->size_bytes() >= size_bytes) return;
    memory_.reset();
    memory_ = std::make_unique<Memory>(size_bytes);
    ++generation_;
}

size_t scratch_bytes(const Device& device, const ir::Graph& graph, const ir::Node& node) {
    switch (ir::op_info(node.op).family) {
        case OpFamily::kProduct: return product_scratch(device, graph, node);
        case OpFamily::kHadamard: return hadamard_scratch(device, graph, node);
        case OpFamily::kNorm: return norm_scratch(device, graph, node);
        case OpFamily::kAttention: return attention_scratch(device, graph, node);
        case OpFamily::kUpdate: return update_scratch(device, graph, node);
        default: break;
    }
    switch (node.op) {
        case OpKind::kWeightedLoss: return loss_scratch(device, graph, node);
        case OpKind::kSumSpatial: return elementwise_scratch(device, graph, node);
        default: return 0;
    }
}

// Every kernel of ours reads an element before it writes the one in its place.
bool can_run_in_place(const ir::Graph&, const ir::Node& node) {
    return ir::op_info(node.op).inplace_input >= 0;
}

std::unique_ptr<backend::Executable> make_executable(std::shared_ptr<Device> device,
                                                     std::shared_ptr<Arena> arena,
                                                     plan::MemoryPlan plan,
                                                     const backend::Bindings& bindings,
                                                     const BufferAddress& address) {
    auto executable =
        std::make_unique<CpuExecutable>(std::move(device), std::move(arena), std::move(plan));
    executable->build(bindings, address);
    return executable;
}

}  // namespace lora::cpu
