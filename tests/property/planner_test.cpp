// Laws of the planner on random training graphs: what is alive never shares bytes, and neither
// fusion, order, reuse nor recomputation changes the numbers.
#include <algorithm>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "support/graph_runner.h"
#include "support/random_graph.h"
#include "support/seed.h"
#include "support/tolerance.h"

namespace lora::support {
namespace {

constexpr uint64_t kNumGraphs = 24;

// Bytes [begin, end) in use from node `first` to node `last`, both included.
struct Use {
    size_t begin = 0;
    size_t end = 0;
    int32_t first = 0;
    int32_t last = 0;
    ir::ValueId value;  // kNoValue: scratch
};

// Lifetimes from first principles: not the planner's own liveness.
std::vector<Use> uses_of(const plan::MemoryPlan& plan) {
    const ir::Graph& graph = plan.graph;
    const int32_t num_nodes = static_cast<int32_t>(graph.nodes().size());
    std::vector<int32_t> last(graph.values().size(), -1);
    for (int32_t n = 0; n < num_nodes; ++n) {
        for (const ir::ValueId id : graph.nodes()[static_cast<size_t>(n)].inputs) {
            if (id.valid()) last[static_cast<size_t>(ir::storage_of(graph, id).index)] = n;
        }
    }
    std::vector<Use> uses;
    for (int32_t i = 0; i < static_cast<int32_t>(graph.values().size()); ++i) {
        const ir::ValueId id{i};
        const ir::Value& value = graph.value(id);
        if (value.kind != ir::ValueKind::kTemp || value.producer < 0) continue;
        const ir::ValueId source = ir::storage_of(graph, id);
        if (value.is_output) last[static_cast<size_t>(source.index)] = num_nodes;
    }
    for (int32_t i = 0; i < static_cast<int32_t>(graph.values().size()); ++i) {
        const ir::ValueId id{i};
        const ir::Value& value = graph.value(id);
        if (value.kind != ir::ValueKind::kTemp || value.producer < 0) continue;
        if (ir::storage_of(graph, id) != id) continue;
        const plan::Slot& slot = plan.values[static_cast<size_t>(i)];
        EXPECT_TRUE(slot.used());
        EXPECT_GE(slot.size_bytes, value.num_bytes());
        uses.push_back({slot.offset_bytes,
                        slot.offset_bytes + value.num_bytes(),
                        value.producer,
                        std::max(last[static_cast<size_t>(i)], value.producer),
                        id});
    }
    for (int32_t n = 0; n < num_nodes; ++n) {
        const plan::Slot& slot = plan.scratch[static_cast<size_t>(n)];
        if (!slot.used()) continue;
        uses.push_back(
            {slot.offset_bytes, slot.offset_bytes + slot.size_bytes, n, n, ir::kNoValue});
    }
    return uses;
}

// Output 0 may take over the place of its in-place input, which nobody reads later.
bool takes_over(const plan::MemoryPlan& plan, const Use& older, const Use& newer) {
    if (!older.value.valid() || !newer.value.valid() || older.last != newer.first) return false;
    const ir::Node& node = plan.graph.nodes()[static_cast<size_t>(newer.first)];
    const int input = ir::op_info(node.op).inplace_input;
    if (input < 0 || node.outputs[0] != newer.value) return false;
    const ir::ValueId taken = node.inputs[static_cast<size_t>(input)];
    return taken.valid() && ir::storage_of(plan.graph, taken) == older.value &&
           older.begin == newer.begin;
}

void expect_no_overlap(const plan::MemoryPlan& plan) {
    const std::vector<Use> uses = uses_of(plan);
    for (const Use& a : uses) {
        EXPECT_LE(a.end, plan.arena_bytes);
        for (const Use& b : uses) {
            if (&a == &b || a.first > b.first) continue;
            const bool same_time = a.first <= b.last && b.first <= a.last;
            const bool same_bytes = a.begin < b.end && b.begin < a.end;
            if (!same_time || !same_bytes || takes_over(plan, a, b)) continue;
            ADD_FAILURE() << "values " << a.value.index << " and " << b.value.index
                          << " share bytes\n"
                          << ir::print(plan.graph);
            return;
        }
    }
}

class PlannerTest : public testing::TestWithParam<uint64_t> {
protected:
    uint64_t seed_ = test_seed() + GetParam();
    std::unique_ptr<backend::Backend> backend_ = reference::open({});

    std::vector<std::vector<double>> results_of(const CaseGraph& built, plan::MemoryPlan plan) {
        GraphRunner runner(*backend_, std::move(plan), built.fills, seed_);
        runner.run();
        runner.run();  // a replay on a used arena
        std::vector<std::vector<double>> results;
        for (const std::string& name : built.results) results.push_back(runner.read(name));
        results.push_back(runner.read(built.loss));
        return results;
    }

    [[nodiscard]] plan::Capabilities without_fusion() const {
        plan::Capabilities capabilities = backend_->capabilities();
        capabilities.fuse_add_into_linear = false;
        capabilities.fuse_add_into_conv = false;
        capabilities.fuse_activation_into_group_norm = false;
        capabilities.most_gathered_gradients = 5;
        capabilities.runs_side_by_side = true;
        return capabilities;
    }
};

TEST_P(PlannerTest, LiveBuffersNeverOverlap) {
    SCOPED_TRACE(seed_note(seed_));
    const CaseGraph built = random_training_graph(seed_, DType::kF32, 40);
    plan::Capabilities capabilities = backend_->capabilities();
    // Odd scratch sizes, and an operator that refuses to run in place now and then.
    capabilities.scratch_bytes = [](const ir::Graph&, const ir::Node& node) {
        return node.op == ir::OpKind::kLinear ? size_t{100} : size_t{0};
    };
    capabilities.can_run_in_place = [](const ir::Graph&, const ir::Node& node) {
        return node.op != ir::OpKind::kScale;
    };
    capabilities.most_gathered_gradients = 5;
    capabilities.runs_side_by_side = true;
    for (const bool recompute : {false, true}) {
        const plan::MemoryPlan plan =
            plan::make_plan(built.graph, capabilities, {.recompute_all = recompute});
        ir::verify(plan.graph);
        expect_no_overlap(plan);
    }
}

TEST_P(PlannerTest, OrderReuseAndRecomputationChangeNoBit) {
    SCOPED_TRACE(seed_note(seed_));
    const CaseGraph built = random_training_graph(seed_, DType::kF32, 12);
    const auto expected = results_of(built, plan_without_reuse(built.graph));
    EXPECT_EQ(results_of(built, plan::make_plan(built.graph, without_fusion())), expected);
    EXPECT_EQ(
        results_of(built, plan::make_plan(built.graph, without_fusion(), {.recompute_all = true})),
        expected);
}

TEST_P(PlannerTest, FusionChangesOnlyRounding) {
    SCOPED_TRACE(seed_note(seed_));
    const CaseGraph built = random_training_graph(seed_, DType::kF64, 12);
    const auto expected = results_of(built, plan_without_reuse(built.graph));
    const auto actual = results_of(
        built, plan::make_plan(built.graph, backend_->capabilities(), {.recompute_all = true}));
    // Norms in the middle of a deep random graph may amplify roundings of 1e-16.
    const Tolerance bound{1e-9, 1e-8};
    for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(describe_difference(actual[i], expected[i], bound), "");
    }
}

TEST_P(PlannerTest, AMemoryLimitIsKept) {
    SCOPED_TRACE(seed_note(seed_));
    const CaseGraph built = random_training_graph(seed_, DType::kF32, 14);
    const plan::Capabilities& capabilities = backend_->capabilities();
    const plan::MemoryPlan free = plan::make_plan(built.graph, capabilities);
    const plan::MemoryPlan least =
        plan::make_plan(built.graph, capabilities, {.recompute_all = true});
    EXPECT_LE(free.arena_bytes, plan_without_reuse(built.graph).arena_bytes);
    if (least.arena_bytes >= free.arena_bytes) return;  // nothing to win in this graph
    const size_t limit = (least.arena_bytes + free.arena_bytes) / 2;
    const plan::MemoryPlan plan =
        plan::make_plan(built.graph, capabilities, {.max_arena_bytes = limit});
    EXPECT_LE(plan.arena_bytes, limit);
    expect_no_overlap(plan);
}

TEST(PlannerLawsTest, TheRandomGraphsExerciseThePlanner) {
    const std::unique_ptr<backend::Backend> backend = reference::open({});
    int64_t num_recomputed = 0;
    int64_t num_fused = 0;
    int64_t num_limited = 0;
    for (uint64_t i = 0; i < kNumGraphs; ++i) {
        const CaseGraph built = random_training_graph(test_seed() + i, DType::kF32, 14);
        const plan::MemoryPlan free = plan::make_plan(built.graph, backend->capabilities());
        const plan::MemoryPlan least =
            plan::make_plan(built.graph, backend->capabilities(), {.recompute_all = true});
        const size_t added = static_cast<size_t>(free.num_recomputed);
        num_fused += free.graph.nodes().size() - added < built.graph.nodes().size() ? 1 : 0;
        num_recomputed += least.num_recomputed > 0 ? 1 : 0;
        num_limited += least.arena_bytes < free.arena_bytes ? 1 : 0;
    }
    EXPECT_GE(num_fused, 8);
    EXPECT_GE(num_recomputed, 8);
    EXPECT_GE(num_limited, 4);
}

INSTANTIATE_TEST_SUITE_P(RandomGraphs, PlannerTest, testing::Range(uint64_t{0}, kNumGraphs));

}  // namespace
}  // namespace lora::support
