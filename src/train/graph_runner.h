// One compiled graph with buffers for its inputs: write inputs, run, read outputs. For work outside
// the training loop (encoding, sampling, parity); the loop itself is trainer.h.
// Threads  one thread. Only the runner that ran last has valid outputs (backends share one arena).
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "train/weight_binding.h"

namespace lora::train {

class GraphRunner {
public:
    struct Options {
        backend::Bindings bindings;  // parameters, states, inputs that somebody else keeps
        plan::PlanOptions plan;
    };

    // Plans and compiles; frozen weights come from `weights`, inputs without a binding get buffers.
    GraphRunner(backend::Backend& backend, WeightStore& weights, ir::Graph graph, Options options);

    // Errors  kInternal unless the tensor has the input's type and number of elements.
    void set(const std::string& input, const TensorView& value);
    void run() { executable_->run(); }
    [[nodiscard]] Tensor get(const std::string& output) const;
    [[nodiscard]] backend::Executable& executable() { return *executable_; }

private:
    backend::Bindings inputs_;
    std::unique_ptr<backend::Executable> executable_;
};

}  // namespace lora::train
