// What every operator of the cuda backend shares: the card, and how a node becomes kernel launches.
// One function pair per operator family, in the file of the family's name:
//   <family>_scratch   bytes a node needs beside inputs and outputs (asked by the planner)
//   <family>_launches  the node as launches, in order; addresses are final
// Not the driver (driver.h), not graph building (step_graph.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "ir/graph.h"

namespace lora::cuda {

using DevicePtr = uint64_t;  // an address on the card; 0 where an operand is absent

// What the card is; filled once when it is opened.
struct DeviceInfo {
    std::string name;
    int compute_major = 0;  // 9.0 is an H100
    int compute_minor = 0;
    int num_multiprocessors = 0;
    size_t shared_bytes_per_block = 0;  // with opt-in
    size_t total_bytes = 0;
    int driver_version = 0;  // 13000 is CUDA 13.0
    [[nodiscard]] int compute() const { return compute_major * 10 + compute_minor; }
    [[nodiscard]] bool has_bf16() const { return compute_major >= 8; }
};

// For 16 bytes at a time; true for an absent operand.
[[nodiscard]] constexpr bool is_aligned(DevicePtr p) { return p % 16 == 0; }
[[nodiscard]] inline bool is_aligned(const void* p) {
    return is_aligned(reinterpret_cast<DevicePtr>(p));
}

struct Dim3 {
    uint32_t x = 1;
    uint32_t y = 1;
    uint32_t z = 1;
};

// One kernel start. Every kernel takes one struct by value (kernels/<family>_args.h), which host
// and device code share.
struct Launch {
    std::string file;    // "norm": the .cu file's stem
    std::string kernel;  // "group_norm_bf16": the extern "C" name in it
    Dim3 grid;
    Dim3 block;
    uint32_t shared_bytes = 0;  // dynamic shared memory
    std::vector<std::byte> args;

    template <typename T>
    void set_args(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        T copy = value;
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
        __builtin_clear_padding(&copy);  // the same launch is the same bytes, in every run
#endif
#endif
        args.resize(sizeof(T));
        std::memcpy(args.data(), &copy, sizeof(T));
    }
};

class Products;  // choice of kernels for products: products.h

struct NodeContext {
    const DeviceInfo& device;
    const ir::Graph& graph;
    const ir::Node& node;
    std::vector<DevicePtr> in;
    std::vector<DevicePtr> out;
    DevicePtr scratch = 0;
    DevicePtr arrivals = 0;    // counters for split sums, zero between launches (products.h)
    DevicePtr mid_factor = 0;  // where mid_source(): its second operand
    Products* products = nullptr;

    [[nodiscard]] const ir::Value& input(int i) const {
        return graph.value(node.inputs[static_cast<size_t>(i)]);
    }
    [[nodiscard]] const ir::Value& output(int i = 0) const {
        return graph.value(node.outputs[static_cast<size_t>(i)]);
    }
    [[nodiscard]] bool has_input(int i) const {
        return node.inputs[static_cast<size_t>(i)].valid();
    }
    // For argument structs: the operand's address as a device pointer.
    template <typename T = void>
    [[nodiscard]] T* in_ptr(int i) const {
        return reinterpret_cast<T*>(in[static_cast<size_t>(i)]);
    }
    template <typename T = void>
    [[nodiscard]] T* out_ptr(int i = 0) const {
        return reinterpret_cast<T*>(out[static_cast<size_t>(i)]);
    }
};

using Launches = std::vector<Launch>;

[[nodiscard]] Launches movement_launches(const NodeContext& c);
[[nodiscard]] Launches elementwise_launches(const NodeContext& c);
[[nodiscard]] Launches norm_launches(const NodeContext& c);
[[nodiscard]] Launches attention_launches(const NodeContext& c);
[[nodiscard]] Launches product_launches(const NodeContext& c);
[[nodiscard]] Launches hadamard_launches(const NodeContext& c);
[[nodiscard]] Launches source_launches(const NodeContext& c);
[[nodiscard]] Launches loss_launches(const NodeContext& c);
[[nodiscard]] Launches update_launches(const NodeContext& c);

using ScratchFunction = size_t(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n);
[[nodiscard]] ScratchFunction elementwise_scratch;
[[nodiscard]] ScratchFunction norm_scratch;
[[nodiscard]] ScratchFunction attention_scratch;
[[nodiscard]] ScratchFunction product_scratch;
[[nodiscard]] ScratchFunction loss_scratch;
[[nodiscard]] ScratchFunction update_scratch;

// "f32", "bf16", "f16", the suffix of kernel names. Errors  kDevice for any other type.
[[nodiscard]] const char* suffix_of(DType dtype);

[[nodiscard]] constexpr int64_t round_up(int64_t n, int64_t step) {
    return (n + step - 1) / step * step;
}
[[nodiscard]] constexpr int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

// Cuts 256-byte aligned pieces off a node's scratch; started from 0 it counts bytes.
class ScratchLayout {
public:
    explicit ScratchLayout(DevicePtr base = 0) : base_(base) {}
    template <typename T>
    T* take(int64_t count) {
        const size_t at = used_;
        used_ += static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), 256));
        return base_ == 0 ? nullptr : reinterpret_cast<T*>(base_ + at);
    }
    [[nodiscard]] size_t used() const { return used_; }

private:
    DevicePtr base_;
    size_t used_ = 0;
};

}  // namespace lora::cuda
