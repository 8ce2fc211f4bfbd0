#include "support/graph_runner.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/rng.h"

namespace lora::support {
namespace {

constexpr size_t kGuardBytes = 64;
constexpr std::byte kGuard{0x5A};

size_t round_up(size_t bytes) { return (bytes + kGuardBytes - 1) / kGuardBytes * kGuardBytes; }

uint64_t hash_of(std::string_view text) {
    uint64_t hash = 14695981039346656037ULL;  // FNV-1a
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return hash;
}

double draw(Rng& rng, const Fill& fill) {
    switch (fill.kind) {
        case Fill::Kind::kNormal:
            return fill.offset + fill.scale * static_cast<double>(rng.normal());
        case Fill::Kind::kPositive:
            return fill.offset + fill.scale * static_cast<double>(rng.uniform());
        case Fill::Kind::kIds:
            return static_cast<double>(rng.below(static_cast<uint64_t>(fill.limit)));
        case Fill::Kind::kValues: break;
    }
    return 0;
}

std::vector<double> to_doubles(DType dtype, std::span<const std::byte> bytes) {
    std::vector<double> values(bytes.size() / dtype_bytes(dtype));
    convert_elements(dtype, bytes, DType::kF64, std::as_writable_bytes(std::span(values)));
    return values;
}

}  // namespace

Tensor random_tensor(const ir::Value& value, const Fill& fill, uint64_t seed, uint32_t step) {
    Rng rng(seed, RngStream::kTest, hash_of(value.name), step);
    std::vector<double> values(static_cast<size_t>(value.shape.num_elements()));
    for (double& element : values) element = draw(rng, fill);
    if (fill.kind == Fill::Kind::kValues) values = fill.values;
    Tensor tensor(value.dtype, value.shape);
    convert_elements(DType::kF64, std::as_bytes(std::span(values)), value.dtype, tensor.bytes());
    return tensor;
}

plan::MemoryPlan plan_without_reuse(ir::Graph graph) {
    plan::MemoryPlan plan;
    plan.values.resize(graph.values().size());
    plan.scratch.resize(graph.nodes().size());
    for (size_t i = 0; i < graph.values().size(); ++i) {
        const ir::ValueId id{narrow<int32_t>(i)};
        if (graph.value(id).kind != ir::ValueKind::kTemp || ir::storage_of(graph, id) != id)
            continue;
        plan.values[i] = {plan.arena_bytes, graph.value(id).num_bytes()};
        plan.arena_bytes += round_up(plan.values[i].size_bytes);
    }
    for (size_t i = 0; i < graph.values().size(); ++i) {
        const ir::ValueId id{narrow<int32_t>(i)};
        if (graph.value(id).kind != ir::ValueKind::kTemp) continue;
        plan.values[i] = plan.values[static_cast<size_t>(ir::storage_of(graph, id).index)];
    }
    plan.graph = std::move(graph);
    return plan;
}

GraphRunner::GraphRunner(backend::Backend& backend,
                         plan::MemoryPlan plan,
                         const std::unordered_map<std::string, Fill>& fills,
                         uint64_t seed)
    : seed_(seed), fills_(fills) {
    size_t bytes = kGuardBytes;
    for (const ir::Value& value : plan.graph.values()) {
        if (value.kind == ir::ValueKind::kTemp) continue;
        if (value.kind == ir::ValueKind::kWeight) {
            bind_weight(backend, value, fills_[value.name]);
            continue;
        }
        places_.push_back({value, bytes});
        bytes += round_up(value.num_bytes()) + kGuardBytes;
    }
    buffer_ = backend.make_buffer(bytes);
    const std::vector<std::byte> guards(bytes, kGuard);
    buffer_->write(0, guards);
    for (const Place& item : places_) {
        const bool zero =
            item.value.kind == ir::ValueKind::kState && !fills.contains(item.value.name);
        const Tensor contents = zero ? Tensor(item.value.dtype, item.value.shape)
                                     : random_tensor(item.value, fills_[item.value.name], seed_);
        buffer_->write(item.offset_bytes, contents.bytes());
        bindings_[item.value.name] = {nullptr, buffer_, item.offset_bytes};
    }
    executable_ = backend.compile(std::move(plan), bindings_);
}

void GraphRunner::bind_weight(backend::Backend& backend, const ir::Value& value, const Fill& fill) {
    const auto source = std::make_shared<Tensor>(random_tensor(value, fill, seed_));
    bindings_[value.name] = {backend.make_weight(source->view(), source, value.dtype), nullptr, 0};
}

void GraphRunner::run() {
    executable_->run();
    check_guards();
}

void GraphRunner::check_guards() const {
    std::vector<std::byte> bytes(buffer_->size_bytes());
    buffer_->read(0, bytes);
    for (const Place& item : places_) {
        const auto end =
            bytes.begin() + narrow<int64_t>(item.offset_bytes + item.value.num_bytes());
        const auto guard_end =
            bytes.begin() +
            narrow<int64_t>(item.offset_bytes + round_up(item.value.num_bytes()) + kGuardBytes);
        LORA_CHECK(std::all_of(end, guard_end, [](std::byte b) { return b == kGuard; }),
                   "the bytes after " + item.value.name + " were overwritten");
    }
}

void GraphRunner::fill_inputs(uint32_t step) {
    for (const Place& item : places_) {
        if (item.value.kind != ir::ValueKind::kInput) continue;
        const Tensor contents = random_tensor(item.value, fills_[item.value.name], seed_, step);
        buffer_->write(item.offset_bytes, contents.bytes());
    }
}

const GraphRunner::Place& GraphRunner::place(std::string_view name) const {
    const auto it = std::find_if(
        places_.begin(), places_.end(), [&](const Place& item) { return item.value.name == name; });
    LORA_CHECK(it != places_.end(), "no value named " + std::string(name));
    return *it;
}

std::vector<double> GraphRunner::read(std::string_view name) const {
    const ir::Graph& graph = executable_->plan().graph;
    const ir::Value& value = graph.value(graph.at(name));
    std::vector<std::byte> bytes(value.num_bytes());
    if (value.kind == ir::ValueKind::kTemp) {
        executable_->read_output(name, bytes);
    } else {
        buffer_->read(place(name).offset_bytes, bytes);
    }
    return to_doubles(value.dtype, bytes);
}

void GraphRunner::write(std::string_view name, std::span<const double> values) {
    const Place& item = place(name);
    Tensor tensor(item.value.dtype, item.value.shape);
    convert_elements(DType::kF64, std::as_bytes(values), item.value.dtype, tensor.bytes());
    buffer_->write(item.offset_bytes, tensor.bytes());
}

}  // namespace lora::support
