// What every operator of the cpu backend shares: kernels, threads, and how a node becomes a
// program. One function pair per operator family, in the file of the family's name:
//   <family>_scratch  bytes a node needs beside inputs and outputs (asked by the planner)
//   <family>_program  the node with kernels chosen and weights packed
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/internal/threads.h"
#include "backend/cpu/kernels/kernel_table.h"
#include "ir/graph.h"

namespace lora::cpu {

class CpuWeight;
class Library;  // oneDNN, where the program has it: library.h

struct Device {
    const KernelTable* kernels = nullptr;
    Threads threads{0};
    std::shared_ptr<Library>
        library;  // shared with the programs that hold its primitives; may be null
};

// Addresses of a node's operands at run time; null where absent or held by the program itself.
struct Args {
    std::vector<std::byte*> in;
    std::vector<std::byte*> out;
    std::byte* scratch = nullptr;

    template <typename T>
    [[nodiscard]] T* input(size_t i) const {
        return reinterpret_cast<T*>(in[i]);
    }
    template <typename T>
    [[nodiscard]] T* output(size_t i) const {
        return reinterpret_cast<T*>(out[i]);
    }
};

struct Program {
    std::function<void(const Args&)> run;
    std::string choice;        // for traces: which implementation
    uint32_t held_inputs = 0;  // bit i: the program has input i in its own form
};

struct NodeContext {
    const Device& device;
    const ir::Graph& graph;
    const ir::Node& node;
    // The weight bound to input i, or null when it is no weight.
    std::function<std::shared_ptr<CpuWeight>(int)> weight;

    [[nodiscard]] const ir::Value& input(int i) const {
        return graph.value(node.inputs[static_cast<size_t>(i)]);
    }
    [[nodiscard]] const ir::Value& output(int i = 0) const {
        return graph.value(node.outputs[static_cast<size_t>(i)]);
    }
    [[nodiscard]] bool has_input(int i) const {
        return node.inputs[static_cast<size_t>(i)].valid();
    }
};

[[nodiscard]] Program movement_program(const NodeContext& c);
[[nodiscard]] Program elementwise_program(const NodeContext& c);
[[nodiscard]] Program norm_program(const NodeContext& c);
[[nodiscard]] Program dora_scale_program(const NodeContext& c);  // of the family norm
[[nodiscard]] Program attention_program(const NodeContext& c);
[[nodiscard]] Program product_program(const NodeContext& c);
[[nodiscard]] Program hadamard_program(const NodeContext& c);
[[nodiscard]] Program source_program(const NodeContext& c);
[[nodiscard]] Program loss_program(const NodeContext& c);
[[nodiscard]] Program update_program(const NodeContext& c);

[[nodiscard]] size_t elementwise_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] size_t norm_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] size_t attention_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] size_t product_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] size_t hadamard_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] size_t loss_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] size_t update_scratch(const Device& d, const ir::Graph& g, const ir::Node& n);

// Errors  kDevice for a type that this backend has no kernels for.
[[nodiscard]] Elem elem_of(DType dtype);
[[nodiscard]] Curve curve_of(ir::Activation activation);
[[nodiscard]] constexpr int64_t round_up(int64_t n, int64_t step) {
    return (n + step - 1) / step * step;
}
[[nodiscard]] constexpr int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

// Cuts 64-byte aligned pieces off a node's scratch; started from null it counts bytes.
class ScratchLayout {
public:
    explicit ScratchLayout(std::byte* base = nullptr) : base_(base) {}
    template <typename T>
    T* take(int64_t count) {
        const size_t at = used_;
        used_ += static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), 64));
        return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
    }
    [[nodiscard]] size_t used() const { return used_; }

private:
    std::byte* base_;
    size_t used_ = 0;
};

}  // namespace lora::cpu
