#include "train/weight_norms.h"

#include <array>

#include "base/error.h"
#include "models/lora_module.h"
#include "nn/lora.h"

namespace lora::train {
namespace {

nn::LoraAttachment attachment_of(const LoraModule& module) {
    nn::LoraAttachment attachment;
    attachment.kind = module.kind;
    attachment.module = module.name;
    attachment.factors =
        module.factors.empty() ? nn::lora_factors(module.weight, module.rank) : module.factors;
    attachment.scale = module.alpha / static_cast<double>(module.rank);
    attachment.trainable = true;
    return attachment;
}

}  // namespace

ir::Graph build_limit_graph(const Network& network, double limit, DType dtype) {
    ir::Graph graph;
    ir::Builder builder(graph);
    const nn::NetContext net{.builder = &builder, .dtype = dtype};
    const ir::ValueId stats = builder.state("stats", Shape{4}, dtype);
    for (const LoraModule& module : network.modules()) {
        if (module.kind == nn::LoraKind::kIa3) {
            throw Error(ErrorCode::kConfig, "scale_weight_norms does not go with IA3")
                .with_hint("leave scale_weight_norms out");
        }
        const ir::Builder::Scope scope(builder, module.name);
        const nn::LoraAttachment attachment = attachment_of(module);
        const ir::ValueId change = nn::weight_change(net, attachment, module.weight, ir::kNoValue);
        std::vector<ir::ValueId> inputs;
        for (const nn::LoraFactor& factor : attachment.factors) {
            if (factor.suffix == nn::kMagnitude) continue;
            inputs.push_back(graph.at(module.name + "." + factor.suffix));
        }
        inputs.resize(ir::kMostLimitFactors, ir::kNoValue);
        inputs.push_back(builder.node(ir::OpKind::kSumSquares, {change, ir::kNoValue})[0]);
        inputs.push_back(stats);
        builder.node(ir::OpKind::kLimitNorm, std::move(inputs), {.alpha = limit});
    }
    return graph;
}

WeightNorms::WeightNorms(backend::Backend& backend,
                         const ParameterBuffers& buffers,
                         const Network& network,
                         double limit,
                         DType dtype)
    : dtype_(dtype), stats_(backend.make_buffer(4 * dtype_bytes(dtype))) {
    backend::Bindings bindings;
    bindings["stats"] = {nullptr, stats_, 0};
    for (const ParameterEntry& entry : network.entries()) {
        bindings[entry.key] = {
            nullptr, buffers.values, static_cast<size_t>(entry.offset) * dtype_bytes(dtype)};
    }
    executable_ = backend.compile(
        plan::make_plan(build_limit_graph(network, limit, dtype), backend.capabilities()),
        bindings);
}

MaxNorm WeightNorms::limit() {
    stats_->fill_zero();
    executable_->run();
    std::vector<std::byte> bytes(stats_->size_bytes());
    stats_->read(0, bytes);
    std::array<double, 4> stats{};
    convert_elements(dtype_, bytes, DType::kF64, std::as_writable_bytes(std::span(stats)));
    return {.keys_scaled = static_cast<int64_t>(stats[0]),
            .average = stats[3] > 0 ? stats[1] / stats[3] : 0,
            .largest = stats[2]};
}

}  // namespace lora::train
