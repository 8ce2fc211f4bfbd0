#include "train/step_cost.h"

#include <algorithm>
#include <chrono>

#include "ir/builder.h"
#include "train/graph_runner.h"

namespace lora::train {
namespace {

constexpr int64_t kProbeRows = 1024;
constexpr int64_t kProbeWidth = 1024;
constexpr int kProbeRuns = 4;
// What whole steps reach of a large linear layer's rate, elementwise work included.
constexpr double kStepEfficiency = 0.6;

double elements(const ir::Graph& graph, ir::ValueId id) {
    return static_cast<double>(graph.value(id).shape.num_elements());
}

// Every output number needs one pass over a filter.
double product_flops(const ir::Graph& graph, const ir::Node& node) {
    const auto& in = node.inputs;
    switch (node.op) {
        case ir::OpKind::kLinear: {
            const Shape& x = graph.value(in[0]).shape;
            return 2 * elements(graph, node.outputs[0]) * static_cast<double>(x[-1]);
        }
        case ir::OpKind::kLinearBackwardWeight: {
            const Shape& dy = graph.value(in[0]).shape;
            return 2 * elements(graph, in[1]) * static_cast<double>(dy[-1]);
        }
        case ir::OpKind::kConv2d: {
            const Shape& w = graph.value(in[1]).shape;
            return 2 * elements(graph, node.outputs[0]) *
                   static_cast<double>(w.num_elements() / w[0]);
        }
        case ir::OpKind::kConv2dBackwardInput: {
            const Shape& w = graph.value(in[1]).shape;
            return 2 * elements(graph, in[0]) * static_cast<double>(w.num_elements() / w[0]);
        }
        case ir::OpKind::kConv2dBackwardWeight: {
            const Shape& dy = graph.value(in[0]).shape;
            return 2 * elements(graph, node.outputs[0]) *
                   static_cast<double>(dy.num_elements() / dy[1]);
        }
        case ir::OpKind::kAttention: {
            const Shape& k = graph.value(in[1]).shape;
            return 4 * elements(graph, in[0]) * static_cast<double>(k[1]);
        }
        case ir::OpKind::kAttentionBackward: {
            const Shape& k = graph.value(in[2]).shape;
            return 10 * elements(graph, in[1]) * static_cast<double>(k[1]);
        }
        default: return 0;
    }
}

}  // namespace

double num_flops(const ir::Graph& graph) {
    double sum = 0;
    for (const ir::Node& node : graph.nodes()) sum += product_flops(graph, node);
    return sum;
}

double measure_flops_per_s(backend::Backend& backend, DType dtype) {
    ir::Graph graph;
    ir::Builder builder(graph);
    const ir::ValueId x = builder.input("x", dtype, Shape{kProbeRows, kProbeWidth});
    const ir::ValueId w = builder.weight("w", dtype, Shape{kProbeWidth, kProbeWidth});
    graph.mark_output(builder.linear(x, w), "y");
    const double flops = num_flops(graph);
    const auto weight = std::make_shared<Tensor>(DType::kF32, Shape{kProbeWidth, kProbeWidth});
    WeightStore weights(backend);
    weights.add_source([weight](const std::string&) {
        return SourceTensor{weight->view(), weight};
    });
    GraphRunner runner(backend, weights, std::move(graph), {});
    double best_s = 1e30;
    for (int i = 0; i < kProbeRuns; ++i) {
        const auto start = std::chrono::steady_clock::now();
        runner.run();
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
        best_s = std::min(best_s, elapsed.count());
    }
    return flops / std::max(best_s, 1e-9);
}

double estimate_s(const ir::Graph& graph, double flops_per_s) {
    return num_flops(graph) / (flops_per_s * kStepEfficiency);
}

}  // namespace lora::train
