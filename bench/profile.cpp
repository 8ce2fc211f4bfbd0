#include "profile.h"

#include <chrono>

#include "backend/cpu/floor.h"
#include "ir/cost.h"
#include "ir/print.h"

namespace lora::bench {
namespace {

std::string family_of(const ir::Node& node) {
    switch (ir::op_info(node.op).family) {
        case ir::OpFamily::kProduct:
            return node.op == ir::OpKind::kLinear || node.op == ir::OpKind::kLinearBackwardWeight
                       ? "linear"
                       : "conv";
        case ir::OpFamily::kAttention: return "attention";
        case ir::OpFamily::kNorm: return "norm";
        case ir::OpFamily::kMovement: return "movement";
        default: return "elementwise";
    }
}

constexpr int kTracedRuns = 2;

void add_floor(Profile& p, const ir::Graph& graph) {
    cpu::ProductFloor floor;
    std::map<std::string, double> operations;
    for (const ir::Node& node : graph.nodes()) {
        const std::optional<double> ms = floor.ms(graph, node);
        if (!ms) continue;
        const std::string family = family_of(node);
        p.floors[family] += *ms;
        p.floor_ms += *ms;
        operations[family] += ir::num_flops(graph, node);
    }
    for (const auto& [family, count] : operations) {
        p.rates[family] = count / p.floors[family] * 1e-6;
    }
}

}  // namespace

Profile profile(const Options& options,
                backend::Executable& executable,
                const std::function<void()>& run) {
    const ir::Graph& graph = executable.plan().graph;
    const size_t num_nodes = graph.nodes().size();
    Profile p;
    p.node_ms.assign(num_nodes, 0);
    std::vector<std::vector<double>> node_times(num_nodes);
    std::vector<double> times;
    run();
    for (int i = 0; i < options.repeats; ++i) {
        const auto start = std::chrono::steady_clock::now();
        run();
        const std::chrono::duration<double, std::milli> took =
            std::chrono::steady_clock::now() - start;
        times.push_back(took.count());
    }
    // Apart from the timed runs: on a card tracing runs one node after the other.
    executable.set_tracing(true);
    for (int i = 0; i < kTracedRuns; ++i) {
        run();
        for (const backend::NodeTime& time : executable.node_times()) {
            node_times[static_cast<size_t>(time.node)].push_back(time.ms);
        }
    }
    executable.set_tracing(false);
    p.ms = median(times);
    for (size_t i = 0; i < num_nodes; ++i) {
        p.node_ms[i] = median(node_times[i]);
        if (p.node_ms[i] > 0) p.families[family_of(graph.nodes()[i])] += p.node_ms[i];
    }
    return p;
}

Profile with_floor(Profile p, const backend::Executable& executable) {
    add_floor(p, executable.plan().graph);
    return p;
}

void print_nodes(const backend::Executable& executable, const Profile& p) {
    const ir::Graph& graph = executable.plan().graph;
    cpu::ProductFloor floor;
    for (size_t i = 0; i < p.node_ms.size(); ++i) {
        if (p.node_ms[i] == 0) continue;
        const ir::Node& node = graph.nodes()[i];
        OrderedJson line;
        line["node"] = i;
        line["op"] = ir::op_info(node.op).name;
        line["scope"] = node.scope;
        line["ms"] = p.node_ms[i];
        const std::optional<double> alone = floor.ms(graph, node);
        if (alone) line["floor_ms"] = *alone;
        OrderedJson shapes = OrderedJson::array();
        for (const ir::ValueId id : node.inputs) {
            if (id.valid()) shapes.push_back(ir::describe(graph.value(id)));
        }
        line["inputs"] = shapes;
        print_line(line);
    }
}

}  // namespace lora::bench
