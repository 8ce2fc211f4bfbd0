#include "train/step_cost.h"

#include <algorithm>
#include <chrono>

#include "ir/builder.h"
#include "ir/cost.h"
#include "train/graph_runner.h"

namespace lora::train {
namespace {

constexpr int64_t kProbeRows = 1024;
constexpr int64_t kProbeWidth = 1024;
constexpr int kProbeRuns = 4;
// What whole steps reach of a large linear layer's rate, elementwise work included.
constexpr double kStepEfficiency = 0.6;

}  // namespace

double measure_flops_per_s(backend::Backend& backend, DType dtype) {
    ir::Graph graph;
    ir::Builder builder(graph);
    const ir::ValueId x = builder.input("x", dtype, Shape{kProbeRows, kProbeWidth});
    const ir::ValueId w = builder.weight("w", dtype, Shape{kProbeWidth, kProbeWidth});
    graph.mark_output(builder.linear(x, w), "y");
    const double flops = ir::num_flops(graph);
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

double median(std::vector<double> times) {
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}

double estimate_s(const ir::Graph& graph, double flops_per_s) {
    return ir::num_flops(graph) / (flops_per_s * kStepEfficiency);
}

}  // namespace lora::train
