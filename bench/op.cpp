// The large cases of tests/support/cases, forward and with their gradients.
#include "backend/cpu/floor.h"
#include "bench.h"
#include "ir/cost.h"
#include "profile.h"
#include "support/graph_runner.h"
#include "support/op_case.h"

namespace lora::bench {
namespace {

void run_case(const Options& options,
              backend::Backend& backend,
              const support::OpCase& item,
              bool gradients) {
    const DType dtype = dtype_of(options, backend);
    const support::CaseGraph graph =
        support::build_case(item, {.dtype = dtype, .gradients = gradients});
    support::GraphRunner runner(
        backend, plan::make_plan(graph.graph, backend.capabilities()), graph.fills, 1);
    const Profile p = profile(options, runner.executable(), [&] { runner.run(); });
    const ir::Graph& planned = runner.plan().graph;
    cpu::ProductFloor floor;
    for (size_t i = 0; i < p.node_ms.size(); ++i) {
        if (p.node_ms[i] == 0) continue;
        const ir::Node& node = planned.nodes()[i];
        OrderedJson line = line_start(backend, dtype);
        line["case"] = item.name + (gradients ? "+gradients" : "");
        line["op"] = ir::op_info(node.op).name;
        line["ms"] = p.node_ms[i];
        if (options.floor) {
            const std::optional<double> alone = floor.ms(planned, node);
            if (alone) line["floor_ms"] = *alone;
        }
        const double operations = ir::num_flops(planned, node);
        if (operations > 0) line["gflops"] = operations / p.node_ms[i] * 1e-6;
        print_line(line);
    }
}

}  // namespace

void run_op(const Options& options) {
    const std::unique_ptr<backend::Backend> backend = open_backend(options);
    for (const support::OpCase& item : support::large_cases()) {
        if (item.name.find(options.filter) == std::string::npos) continue;
        run_case(options, *backend, item, false);
        if (item.differentiable) run_case(options, *backend, item, true);
    }
}

}  // namespace lora::bench
