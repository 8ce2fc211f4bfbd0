// A device that runs plans. Implementations: reference/ (plain loops, defines the numbers), cpu/
// (oneDNN or Eigen), cuda/. Everything above sees this header and registry.h only.
// Threads  one Backend and what it made belong to one thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "plan/memory_plan.h"
#include "tensor/tensor.h"

namespace lora::backend {

// Persistent device memory: parameters, gradients, moments, inputs. Filled with zeros when made.
class Buffer {
public:
    virtual ~Buffer() = default;
    [[nodiscard]] virtual size_t size_bytes() const = 0;
    // Host copies; the device is idle when they return.
    virtual void write(size_t offset_bytes, std::span<const std::byte> src) = 0;
    virtual void read(size_t offset_bytes, std::span<std::byte> dst) const = 0;
    virtual void fill_zero() = 0;
};

// A frozen tensor in whatever form the backend's kernels like best, made from the file's bytes.
class Weight {
public:
    virtual ~Weight() = default;
};

// What a graph's outside value is at run time: a weight, or a piece of a buffer.
struct Binding {
    std::shared_ptr<Weight> weight;
    std::shared_ptr<Buffer> buffer;
    size_t offset_bytes = 0;
};
using Bindings = std::unordered_map<std::string, Binding>;  // by value name

// Time spent in one node of the last run, when tracing is on.
struct NodeTime {
    int32_t node = 0;
    double ms = 0;
};

class Executable {
public:
    virtual ~Executable() = default;
    // Does what run() would do once, at its first call: kernels chosen and loaded, graphs made.
    // Useful after the last compile(), since a larger arena makes part of it undone.
    virtual void prepare() {}
    // Runs the whole plan once; returns when it is done.
    virtual void run() = 0;
    // Copies a value marked as output, after run().
    virtual void read_output(std::string_view name, std::span<std::byte> dst) const = 0;
    [[nodiscard]] virtual const plan::MemoryPlan& plan() const = 0;
    // Per-node times of the last run; empty unless tracing was on when it ran.
    [[nodiscard]] virtual const std::vector<NodeTime>& node_times() const = 0;
    virtual void set_tracing(bool on) = 0;
};

// Memory of a device of its own, when it was opened.
struct DeviceMemory {
    size_t total_bytes = 0;
    // Of the picture on the screen, other programs, and the driver for this one.
    size_t taken_bytes = 0;
};

class Backend {
public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;           // "cpu"
    [[nodiscard]] virtual std::string device_description() const = 0;  // for doctor and metadata
    // Best compute type of this device: kBF16 where it has it, else kF32.
    [[nodiscard]] virtual DType preferred_dtype() const = 0;
    [[nodiscard]] virtual bool supports(DType compute_dtype) const = 0;
    [[nodiscard]] virtual const plan::Capabilities& capabilities() const = 0;

    [[nodiscard]] virtual std::shared_ptr<Buffer> make_buffer(size_t size_bytes) = 0;
    // `source` stays readable as long as `keep_alive` lives (a mapped file). `dtype` is the compute
    // type of the value that it will be bound to; the element conversion happens here or later.
    [[nodiscard]] virtual std::shared_ptr<Weight> make_weight(
        const TensorView& source, std::shared_ptr<const void> keep_alive, DType dtype) = 0;
    // Chooses kernels, packs weights, allocates the arena. Executables of one backend share one
    // arena of the largest plan's size, so only the last one that ran has valid outputs.
    // Errors  kInternal when an outside value is not bound; kOutOfMemory.
    [[nodiscard]] virtual std::unique_ptr<Executable> compile(plan::MemoryPlan plan,
                                                              const Bindings& bindings) = 0;
    // The device has memory of its own, where weights and buffers lie too; elsewhere weights are
    // mapped files or packed copies in the machine's memory.
    [[nodiscard]] virtual bool has_own_memory() const { return false; }
    // Bytes that a plan which trains `num_parameters` takes beside its arena, its weights and the
    // buffers bound to it.
    [[nodiscard]] virtual size_t overhead_bytes(int64_t /*num_parameters*/, DType /*dtype*/) const {
        return 0;
    }
    // Nothing for a backend in the machine's memory.
    [[nodiscard]] virtual std::optional<DeviceMemory> device_memory() const { return std::nullopt; }
    // Bytes taken from the device's own memory since it was opened, workspaces and what other
    // programs took included; 0 for a backend in the machine's memory.
    [[nodiscard]] virtual size_t device_bytes_in_use() const { return 0; }
    // Bytes held in packed weights and persistent buffers.
    [[nodiscard]] virtual size_t persistent_bytes() const = 0;
};

}  // namespace lora::backend
