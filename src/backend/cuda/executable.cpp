#include "backend/cuda/internal/executable.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "backend/cuda/internal/gradient_group.h"
#include "backend/cuda/internal/hazards.h"
#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/cast_table_args.h"
#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "ir/print.h"

namespace lora::cuda {
namespace {

using ir::OpFamily;
using ir::OpKind;

Launches launches_of(const NodeContext& c) {
    switch (ir::op_info(c.node.op).family) {
        case OpFamily::kMovement: return movement_launches(c);
        case OpFamily::kProduct: return product_launches(c);
        case OpFamily::kNorm: return norm_launches(c);
        case OpFamily::kAttention: return attention_launches(c);
        case OpFamily::kElementwise: return elementwise_launches(c);
        case OpFamily::kHadamard: return hadamard_launches(c);
        case OpFamily::kSource: return source_launches(c);
        case OpFamily::kLoss: return loss_launches(c);
        case OpFamily::kUpdate: return update_launches(c);
    }
    LORA_CHECK(false, "an operator of no family");
    return {};
}

bool is_product(OpKind op) { return ir::op_info(op).family == OpFamily::kProduct; }

bool reads_filter(const ir::Node& node, size_t input) {
    if (node.op == OpKind::kHadamard) return input == 4;
    return input == 1 && (node.op == OpKind::kConv2d || node.op == OpKind::kConv2dBackwardInput);
}

// Filters of convolutions lie channels-last on the card.
WeightForm form_of(const ir::Graph& graph, const ir::Node& node, size_t input) {
    const bool unpacks = input == 0 && node.op == OpKind::kDequantize &&
                         is_unpacked_filter(graph, graph.value(node.outputs[0]));
    return unpacks || reads_filter(node, input) ? WeightForm::kChannelsLast : WeightForm::kPlain;
}

// A cast of a trainable parameter to the compute type. All of a graph run as one launch before
// everything else, into memory of their own: alone, five hundred of them would cost more than the
// copying.
bool casts_parameter(const ir::Graph& graph, const ir::Node& node) {
    if (node.op != OpKind::kCast || node.attrs.accumulate) return false;
    const ir::Value& src = graph.value(ir::storage_of(graph, node.inputs[0]));
    const ir::Value& dst = graph.value(node.outputs[0]);
    return src.kind == ir::ValueKind::kParam && src.dtype == DType::kF32 &&
           dst.kind == ir::ValueKind::kTemp && !dst.is_output;
}

struct NodeLaunches {
    int32_t node = 0;  // -1: the parameter casts
    Launches launches;
    std::vector<ByteRange> reads;
    std::vector<ByteRange> writes;
};

class GraphHandles {  // the driver's graph and its executable form
public:
    explicit GraphHandles(const Driver& driver) : driver_(&driver) {}
    ~GraphHandles() {
        if (executable != nullptr) driver_->destroy_executable(executable);
        if (graph != nullptr) driver_->destroy_graph(graph);
    }
    GraphHandles(const GraphHandles&) = delete;
    GraphHandles& operator=(const GraphHandles&) = delete;
    DriverHandle graph = nullptr;
    DriverHandle executable = nullptr;

private:
    const Driver* driver_;
};

class CudaExecutable : public backend::Executable {
public:
    CudaExecutable(Session session, plan::MemoryPlan plan, const backend::Bindings& bindings)
        : session_(std::move(session)), plan_(std::move(plan)), bindings_(bindings) {
        const char* trace = std::getenv("LORA_TRACE");
        print_trace_ = trace != nullptr && std::strcmp(trace, "1") == 0;
        place_parameter_copies();
        reserve();
        find_made_on_the_way();
        // Weights are uploaded now, so that a missing or wrong one is told at once.
        for (const ir::Node& node : plan_.graph.nodes()) {
            if (ir::op_info(node.op).is_view) continue;
            for (size_t i = 0; i < node.inputs.size(); ++i) {
                static_cast<void>(locate(node, i, node.inputs[i]));
            }
        }
    }

    void prepare() override {
        session_.card->adopt();
        make_ready();
    }

    void run() override {
        session_.card->adopt();
        make_ready();
        if (tracing_ || print_trace_) {
            run_traced();
        } else {
            driver().check(driver().launch_graph(handles_->executable, session_.card->stream()),
                           "starting the graph");
        }
        session_.card->synchronize();
    }

    void read_output(std::string_view name, std::span<std::byte> dst) const override {
        const ir::ValueId id = plan_.graph.at(name);
        LORA_CHECK(plan_.graph.value(id).num_bytes() == dst.size(), "output of another size");
        const plan::Slot& slot = plan_.values[static_cast<size_t>(id.index)];
        LORA_CHECK(slot.used(), "output without a place in the arena");
        session_.card->adopt();
        session_.arena->memory().read(slot.offset_bytes, dst);
    }

    [[nodiscard]] const plan::MemoryPlan& plan() const override { return plan_; }
    [[nodiscard]] const std::vector<backend::NodeTime>& node_times() const override {
        return node_times_;
    }
    void set_tracing(bool on) override { tracing_ = on; }

private:
    [[nodiscard]] const Driver& driver() const { return session_.card->driver(); }

    [[nodiscard]] const backend::Binding& binding(const ir::Value& value) const {
        const auto found = bindings_.find(value.name);
        if (found == bindings_.end()) {
            throw Error(ErrorCode::kInternal, fmt::format("nothing is bound to {}", value.name));
        }
        return found->second;
    }

    [[nodiscard]] DevicePtr locate(const ir::Node& node, size_t input, ir::ValueId id) const {
        if (!id.valid()) return 0;
        const ir::ValueId source = ir::storage_of(plan_.graph, id);
        const ir::Value& value = plan_.graph.value(source);
        if (const auto copy = parameter_copies_.find(source.index);
            copy != parameter_copies_.end()) {
            return session_.parameter_copies->memory().address() + copy->second;
        }
        if (value.kind == ir::ValueKind::kTemp) {
            LORA_CHECK(!is_unpacked_filter(plan_.graph, value) || input == SIZE_MAX ||
                           reads_filter(node, input),
                       "a filter in 8 bits is for convolutions");
            return session_.arena->memory().address() +
                   plan_.values[static_cast<size_t>(id.index)].offset_bytes;
        }
        const backend::Binding& bound = binding(value);
        if (value.kind == ir::ValueKind::kWeight) {
            const auto weight = std::dynamic_pointer_cast<CudaWeight>(bound.weight);
            LORA_CHECK(weight != nullptr, "a weight of another backend");
            LORA_CHECK(weight->source().shape.num_elements() == value.shape.num_elements() &&
                           weight->dtype() == value.dtype,
                       "a weight of another size or type: " + value.name);
            return weight->form(form_of(plan_.graph, node, input));
        }
        const auto buffer = std::dynamic_pointer_cast<CudaBuffer>(bound.buffer);
        LORA_CHECK(
            buffer != nullptr && bound.offset_bytes + value.num_bytes() <= buffer->size_bytes(),
            "no buffer, or too small a one, for " + value.name);
        return buffer->address() + bound.offset_bytes;
    }

    void place_parameter_copies() {
        size_t used = 0;
        for (const ir::Node& node : plan_.graph.nodes()) {
            if (!casts_parameter(plan_.graph, node)) continue;
            parameter_copies_[node.outputs[0].index] = used;
            used += static_cast<size_t>(round_up(
                static_cast<int64_t>(plan_.graph.value(node.outputs[0]).num_bytes()), 256));
        }
        copies_bytes_ = used;
    }

    // Nodes whose results other nodes' kernels make (mid_source).
    void find_made_on_the_way() {
        made_on_the_way_.assign(plan_.graph.nodes().size(), false);
        for (const ir::Node& node : plan_.graph.nodes()) {
            const ir::Node* source = mid_source(session_.card->info(), plan_.graph, node);
            if (source == nullptr) continue;
            const int32_t maker = plan_.graph.value(source->outputs[0]).producer;
            made_on_the_way_[static_cast<size_t>(maker)] = true;
        }
    }

    // One launch for all casts of parameters; none when there are none.
    void add_parameter_casts() {
        NodeLaunches result;
        result.node = -1;
        std::vector<CastPiece> pieces;
        const char* suffix = nullptr;
        for (const ir::Node& node : plan_.graph.nodes()) {
            if (!casts_parameter(plan_.graph, node)) continue;
            const ir::Value& value = plan_.graph.value(node.outputs[0]);
            const char* own = suffix_of(value.dtype);
            LORA_CHECK(suffix == nullptr || suffix == own, "parameters of two compute types");
            suffix = own;
            const DevicePtr src = locate(node, 0, node.inputs[0]);
            const DevicePtr dst = locate(node, SIZE_MAX, node.outputs[0]);
            const int64_t count = value.shape.num_elements();
            const size_t width = dtype_bytes(value.dtype);
            for (int64_t i = 0; i < count; i += kCastPieceElements) {
                const auto at = static_cast<size_t>(i);
                pieces.push_back({reinterpret_cast<const float*>(src + at * sizeof(float)),
                                  reinterpret_cast<void*>(dst + at * width),
                                  std::min(kCastPieceElements, count - i)});
            }
            result.reads.push_back({src, static_cast<size_t>(count) * sizeof(float)});
            result.writes.push_back({dst, value.num_bytes()});
        }
        if (pieces.empty()) return;
        const auto bytes = std::as_bytes(std::span(pieces));
        cast_pieces_ = std::make_unique<DeviceMemory>(session_.card, bytes.size());
        cast_pieces_->write(0, bytes);
        Launch launch;
        launch.file = "cast_table";
        launch.kernel = std::string("cast_table_") + suffix;
        launch.grid.x = static_cast<uint32_t>(pieces.size());
        launch.block.x = 256;
        launch.set_args(CastTableArgs{reinterpret_cast<const CastPiece*>(cast_pieces_->address())});
        result.launches.push_back(std::move(launch));
        nodes_.push_back(std::move(result));
    }

    [[nodiscard]] NodeLaunches make_launches(int32_t index) const {
        const ir::Node& node = plan_.graph.nodes()[static_cast<size_t>(index)];
        NodeLaunches result;
        result.node = index;
        NodeContext context{.device = session_.card->info(),
                            .graph = plan_.graph,
                            .node = node,
                            .in = {},
                            .out = {},
                            .arrivals = arrivals(index),
                            .products = session_.products.get()};
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            const ir::ValueId id = node.inputs[i];
            context.in.push_back(locate(node, i, id));
            if (!id.valid()) continue;
            const bool frozen =
                plan_.graph.value(ir::storage_of(plan_.graph, id)).kind == ir::ValueKind::kWeight;
            const ByteRange range{context.in.back(), plan_.graph.value(id).num_bytes()};
            if (!frozen) result.reads.push_back(range);
            const uint32_t mutated = ir::op_info(node.op).mutated_inputs;
            if ((mutated >> i & 1U) != 0) result.writes.push_back(range);
        }
        if (const ir::Node* source = mid_source(session_.card->info(), plan_.graph, node)) {
            context.mid_factor = locate(*source, 1, source->inputs[1]);
            result.reads.push_back(
                {context.mid_factor, plan_.graph.value(source->inputs[1]).num_bytes()});
            result.writes.push_back({context.in[4], plan_.graph.value(node.inputs[4]).num_bytes()});
        }
        for (const ir::ValueId id : node.outputs) {
            const bool outside = plan_.graph.value(id).kind != ir::ValueKind::kTemp;
            context.out.push_back(tuning_output_ != 0 && outside ? tuning_output_
                                                                 : locate(node, SIZE_MAX, id));
            result.writes.push_back({context.out.back(), plan_.graph.value(id).num_bytes()});
        }
        const plan::Slot& scratch = plan_.scratch[static_cast<size_t>(index)];
        if (scratch.used()) {
            context.scratch = session_.arena->memory().address() + scratch.offset_bytes;
            result.writes.push_back({context.scratch, scratch.size_bytes});
        }
        result.launches = launches_of(context);
        return result;
    }

    // Counters for split sums, each node's own: nodes may run side by side.
    void make_counters() {
        if (arrivals_) return;
        arrivals_ = std::make_unique<DeviceMemory>(session_.card,
                                                   plan_.graph.nodes().size() * counter_bytes());
        arrivals_->fill_zero();
    }
    [[nodiscard]] size_t counter_bytes() const {
        return static_cast<size_t>(most_split_tiles(session_.card->info())) * sizeof(unsigned);
    }
    [[nodiscard]] DevicePtr arrivals(int32_t node) const {
        return arrivals_->address() + static_cast<size_t>(node) * counter_bytes();
    }

    // The first of two launches, which fills the node's scratch, becomes a node of its own: ahead
    // of the group that the second one can then join, where nothing there stands in its way.
    void place_first_launch(NodeLaunches& node) {
        NodeLaunches first = node;
        first.launches.resize(1);
        first.writes = {node.writes.back()};
        node.launches.erase(node.launches.begin());
        node.reads.push_back(node.writes.back());
        node.writes.pop_back();
        const bool free = !nodes_.empty() && nodes_.back().launches.size() == 1 &&
                          is_gradient_group(nodes_.back().launches[0]) &&
                          !overlap(first.writes, nodes_.back().reads) &&
                          !overlap(first.writes, nodes_.back().writes) &&
                          !overlap(first.reads, nodes_.back().writes);
        nodes_.insert(nodes_.end() - (free ? 1 : 0), std::move(first));
    }

    [[nodiscard]] static bool overlap(const std::vector<ByteRange>& some,
                                      const std::vector<ByteRange>& others) {
        return std::any_of(some.begin(), some.end(), [&](const ByteRange& a) {
            return std::any_of(others.begin(), others.end(), [&](const ByteRange& b) {
                return a.begin < b.begin + b.size_bytes && b.begin < a.begin + a.size_bytes;
            });
        });
    }

    // Gradients of linear layers that follow each other become one launch, unless they share a
    // destination.
    [[nodiscard]] bool join_last(NodeLaunches& next) {
        if (nodes_.empty() || nodes_.back().launches.size() != 1 || next.launches.size() != 1) {
            return false;
        }
        NodeLaunches& last = nodes_.back();
        Launch& group = last.launches[0];
        const Launch& own = next.launches[0];
        if (overlap(last.writes, next.writes)) return false;
        const bool layers = is_gradient_group(group) && is_gradient_group(own);
        const bool factors = is_factor_group(group) && is_factor_group(own);
        if (!(layers && join_gradients(group, own)) && !(factors && join_factors(group, own))) {
            return false;
        }
        last.reads.insert(last.reads.end(), next.reads.begin(), next.reads.end());
        last.writes.insert(last.writes.end(), next.writes.begin(), next.writes.end());
        return true;
    }

    void finish_groups() {
        const DeviceInfo& info = session_.card->info();
        for (NodeLaunches& node : nodes_) {
            if (node.launches.size() != 1) continue;
            Launch& launch = node.launches[0];
            if (!is_gradient_group(launch) && !is_factor_group(launch)) continue;
            DeviceMemory& workspace = session_.gradient_workspace->reserved();
            if (is_gradient_group(launch)) {
                finish_gradients(info, workspace.address(), launch);
            } else {
                finish_factors(info, workspace.address(), launch);
            }
            node.writes.push_back({workspace.address(), workspace.size_bytes()});
        }
    }

    // Nothing to do unless a larger plan found no room and left none.
    void reserve() {
        session_.arena->reserve(plan_.arena_bytes);
        if (copies_bytes_ > 0) session_.parameter_copies->reserve(copies_bytes_);
    }

    // Launches and the graph, made once and again when the arena has moved.
    void make_ready() {
        reserve();
        const int64_t generation =
            session_.arena->generation() + session_.parameter_copies->generation();
        if (handles_ && generation_ == generation) return;
        nodes_.clear();
        make_counters();
        add_parameter_casts();
        tune();
        for (size_t i = 0; i < plan_.graph.nodes().size(); ++i) {
            const ir::Node& node = plan_.graph.nodes()[i];
            if (ir::op_info(node.op).is_view || casts_parameter(plan_.graph, node)) continue;
            if (made_on_the_way_[i]) continue;
            NodeLaunches launches = make_launches(static_cast<int32_t>(i));
            if (launches.launches.size() == 2 && is_gradient_group(launches.launches[1])) {
                place_first_launch(launches);
            }
            if (!join_last(launches)) nodes_.push_back(std::move(launches));
        }
        finish_groups();
        build_graph();
        generation_ = generation;
    }

    // Chooses a kernel for every product that no run has chosen one for. What they write lands in
    // the arena, and for results outside of it in memory that is let go afterwards.
    void tune() {
        if (!session_.tuner) return;
        const std::vector<ir::Node>& nodes = plan_.graph.nodes();
        size_t most_bytes = 0;
        for (const ir::Node& node : nodes) {
            if (!is_product(node.op)) continue;
            const ir::Value& result = plan_.graph.value(node.outputs[0]);
            if (result.kind != ir::ValueKind::kTemp) {
                most_bytes = std::max(most_bytes, result.num_bytes());
            }
        }
        const DeviceMemory elsewhere(session_.card, most_bytes);
        tuning_output_ = elsewhere.address();
        for (size_t i = 0; i < nodes.size(); ++i) {
            if (!is_product(nodes[i].op)) continue;
            const ProductShape shape = product_shape(session_.card->info(), plan_.graph, nodes[i]);
            if (made_on_the_way_[i] || is_grouped_gradient(session_.card->info(), shape) ||
                is_thin_gradient(session_.card->info(), shape)) {
                continue;
            }
            session_.tuner->decide(shape,
                                   [&] { return make_launches(static_cast<int32_t>(i)).launches; });
        }
        tuning_output_ = 0;
        session_.tuner->save();
    }

    void build_graph() {
        handles_ = std::make_unique<GraphHandles>(driver());
        driver().check(driver().create_graph(&handles_->graph, 0), "making the graph");
        Hazards hazards;
        std::vector<DriverHandle> last_launch;  // by index in nodes_; null: nothing to wait for
        for (const NodeLaunches& node : nodes_) {
            std::vector<DriverHandle> waits;
            for (const int32_t before : hazards.add(node.reads, node.writes)) {
                const DriverHandle handle = last_launch[static_cast<size_t>(before)];
                LORA_CHECK(handle != nullptr, "a node without launches has no history");
                waits.push_back(handle);
            }
            LORA_CHECK(!node.launches.empty(), "a node became no launch");
            DriverHandle handle = nullptr;
            for (const Launch& launch : node.launches) {
                handle = add_node(launch, waits);
                waits.assign(1, handle);
            }
            last_launch.push_back(handle);
        }
        driver().check(driver().instantiate(&handles_->executable, handles_->graph, 0),
                       "making the graph");
        driver().check(driver().upload_graph(handles_->executable, session_.card->stream()),
                       "copying the graph to the card");
    }

    [[nodiscard]] DriverHandle add_node(const Launch& l, const std::vector<DriverHandle>& waits) {
        void* params[] = {const_cast<std::byte*>(l.args.data())};
        KernelNodeParams node{};
        node.function = session_.card->function(l.file, l.kernel, l.shared_bytes);
        node.grid_x = l.grid.x;
        node.grid_y = l.grid.y;
        node.grid_z = l.grid.z;
        node.block_x = l.block.x;
        node.block_y = l.block.y;
        node.block_z = l.block.z;
        node.shared_bytes = l.shared_bytes;
        node.kernel_params = params;
        DriverHandle handle = nullptr;
        driver().check(
            driver().add_kernel_node(&handle, handles_->graph, waits.data(), waits.size(), &node),
            l.kernel.c_str());
        return handle;
    }

    // One node after the other, with an event before and after each.
    void run_traced() {
        node_times_.clear();
        std::vector<DriverHandle> events(nodes_.size() + 1, nullptr);
        for (DriverHandle& event : events) {
            driver().check(driver().create_event(&event, 0), "making an event");
        }
        const DriverHandle stream = session_.card->stream();
        driver().check(driver().record_event(events[0], stream), "recording an event");
        for (size_t i = 0; i < nodes_.size(); ++i) {
            for (const Launch& launch : nodes_[i].launches) session_.card->launch(launch);
            driver().check(driver().record_event(events[i + 1], stream), "recording an event");
            if (!print_trace_) continue;
            session_.card->synchronize();  // so that the node blamed is the guilty one
            float ms = 0;
            driver().check(driver().elapsed_ms(&ms, events[i], events[i + 1]), "reading a time");
            print(nodes_[i], ms);
        }
        session_.card->synchronize();
        for (size_t i = 0; i < nodes_.size(); ++i) {
            float ms = 0;
            driver().check(driver().elapsed_ms(&ms, events[i], events[i + 1]), "reading a time");
            if (nodes_[i].node >= 0) node_times_.push_back({nodes_[i].node, ms});
        }
        for (DriverHandle event : events) driver().destroy_event(event);
    }

    void print(const NodeLaunches& launches, float ms) const {
        if (launches.node < 0) {
            log::info("      {:9.3f} ms casts of all parameters", ms);
            return;
        }
        const ir::Node& node = plan_.graph.nodes()[static_cast<size_t>(launches.node)];
        std::string line =
            fmt::format("{:5} {:9.3f} ms {:24} [", launches.node, ms, ir::op_info(node.op).name);
        for (const Launch& launch : launches.launches) {
            line += fmt::format(
                "{} {}x{}x{} ", launch.kernel, launch.grid.x, launch.grid.y, launch.grid.z);
        }
        line += "]";
        for (const ir::ValueId id : node.inputs) {
            if (id.valid()) line += " " + ir::describe(plan_.graph.value(id));
        }
        log::info("{}  # {}", line, node.scope);
    }

    Session session_;
    ArenaUse arena_use_{session_.arena};
    ArenaUse copies_use_{session_.parameter_copies};
    plan::MemoryPlan plan_;
    backend::Bindings bindings_;
    std::unordered_map<int32_t, size_t> parameter_copies_;  // value index -> offset
    size_t copies_bytes_ = 0;                               // of all of them
    std::vector<bool> made_on_the_way_;                     // by node
    std::unique_ptr<DeviceMemory> cast_pieces_;
    std::unique_ptr<DeviceMemory> arrivals_;
    std::vector<NodeLaunches> nodes_;
    std::unique_ptr<GraphHandles> handles_;
    std::vector<backend::NodeTime> node_times_;
    DevicePtr tuning_output_ = 0;  // while tuning: where results outside the arena go
    int64_t generation_ = -1;
    bool tracing_ = false;
    bool print_trace_ = false;
};

}  // namespace

void Arena::reserve(size_t size_bytes) {
    if (memory_ && memory_->size_bytes() >= size_bytes) return;
    memory_.reset();
    ++generation_;  // also when there is no room: what lay here is gone
    memory_ = std::make_unique<DeviceMemory>(card_, size_bytes);
}

DeviceMemory& GradientWorkspace::reserved() {
    if (!memory_) {
        memory_ = std::make_unique<DeviceMemory>(card_, gradient_workspace_bytes(card_->info()));
        memory_->fill_zero();
    }
    return *memory_;
}

size_t scratch_bytes(const DeviceInfo& device, const ir::Graph& graph, const ir::Node& node) {
    switch (ir::op_info(node.op).family) {
        case OpFamily::kProduct: return product_scratch(device, graph, node);
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

std::unique_ptr<backend::Executable> make_executable(const Session& session,
                                                     plan::MemoryPlan plan,
                                                     const backend::Bindings& bindings) {
    session.card->adopt();
    return std::make_unique<CudaExecutable>(session, std::move(plan), bindings);
}

}  // namespace lora::cuda
