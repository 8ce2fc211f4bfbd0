#include "train/graph_runner.h"

#include "base/check.h"

namespace lora::train {

GraphRunner::GraphRunner(backend::Backend& backend,
                         WeightStore& weights,
                         ir::Graph graph,
                         Options options) {
    backend::Bindings bindings = std::move(options.bindings);
    for (const ir::Value& value : graph.values()) {
        if (value.kind != ir::ValueKind::kInput) continue;
        backend::Binding& binding = bindings[value.name];
        if (!binding.buffer) binding.buffer = backend.make_buffer(value.num_bytes());
        inputs_[value.name] = binding;
    }
    weights.bind(graph, bindings);
    executable_ = backend.compile(
        plan::make_plan(std::move(graph), backend.capabilities(), options.plan), bindings);
}

void GraphRunner::set(const std::string& input, const TensorView& value) {
    const auto it = inputs_.find(input);
    LORA_CHECK(it != inputs_.end(), "no input " + input);
    const ir::Graph& graph = executable_->plan().graph;
    const ir::Value& target = graph.value(graph.at(input));
    LORA_CHECK(target.dtype == value.dtype && target.num_bytes() == value.bytes.size(),
               "input " + input + " has another type or size");
    it->second.buffer->write(it->second.offset_bytes, value.bytes);
}

Tensor GraphRunner::get(const std::string& output) const {
    const ir::Graph& graph = executable_->plan().graph;
    const ir::Value& value = graph.value(graph.at(output));
    Tensor tensor(value.dtype, value.shape);
    executable_->read_output(output, tensor.bytes());
    return tensor;
}

}  // namespace lora::train
