// The planner on small graphs: what fuses, what shares bytes, what the peak is.
#include <algorithm>

#include <gtest/gtest.h>

#include "autodiff/differentiate.h"
#include "base/error.h"
#include "base/rng.h"
#include "plan/arena.h"
#include "plan/fuse.h"
#include "plan/liveness.h"
#include "plan/memory_plan.h"
#include "plan/recompute.h"

namespace lora::plan {
namespace {

using ir::Builder;
using ir::Graph;
using ir::OpKind;
using ir::ValueId;

Capabilities all_in_place() {
    Capabilities capabilities;
    capabilities.can_run_in_place = [](const Graph&, const ir::Node&) { return true; };
    return capabilities;
}

int64_t count(const Graph& graph, OpKind op) {
    return std::count_if(graph.nodes().begin(), graph.nodes().end(), [op](const ir::Node& node) {
        return node.op == op;
    });
}

void expect_no_overlap(const MemoryPlan& plan, const Capabilities& capabilities) {
    const Liveness liveness = find_liveness(plan.graph, capabilities);
    const Placement placement = place_blocks(liveness.blocks, capabilities.alignment_bytes);
    ASSERT_EQ(placement.arena_bytes, plan.arena_bytes);
    for (size_t a = 0; a < liveness.blocks.size(); ++a) {
        for (size_t b = 0; b < a; ++b) {
            const Block& x = liveness.blocks[a];
            const Block& y = liveness.blocks[b];
            if (x.first_node > y.last_node || y.first_node > x.last_node) continue;
            const size_t x0 = placement.offset_bytes[a];
            const size_t y0 = placement.offset_bytes[b];
            EXPECT_TRUE(x0 + x.size_bytes <= y0 || y0 + y.size_bytes <= x0) << a << " and " << b;
        }
    }
}

TEST(ArenaTest, SizesMatchTheBusiestMoment) {
    // Two blocks alive together and one that comes after both.
    const std::vector<Block> blocks = {{100, 0, 1}, {60, 1, 2}, {150, 3, 4}};
    const Placement placement = place_blocks(blocks, 64);
    EXPECT_EQ(lower_bound_bytes(blocks, 64), 192U);
    EXPECT_EQ(placement.arena_bytes, 192U);
}

TEST(ArenaTest, RandomBlocksNeverOverlap) {
    Rng rng(7);
    std::vector<Block> blocks;
    for (int i = 0; i < 300; ++i) {
        const auto first = static_cast<int32_t>(rng.below(200));
        blocks.push_back({static_cast<size_t>(1 + rng.below(5000)),
                          first,
                          first + static_cast<int32_t>(rng.below(30))});
    }
    const Placement placement = place_blocks(blocks, 64);
    EXPECT_GE(placement.arena_bytes, lower_bound_bytes(blocks, 64));
    EXPECT_LE(static_cast<double>(placement.arena_bytes),
              1.3 * static_cast<double>(lower_bound_bytes(blocks, 64)));
    for (size_t a = 0; a < blocks.size(); ++a) {
        for (size_t b = 0; b < a; ++b) {
            if (blocks[a].first_node > blocks[b].last_node ||
                blocks[b].first_node > blocks[a].last_node) {
                continue;
            }
            const size_t a0 = placement.offset_bytes[a];
            const size_t b0 = placement.offset_bytes[b];
            EXPECT_TRUE(a0 + blocks[a].size_bytes <= b0 || b0 + blocks[b].size_bytes <= a0);
        }
    }
}

TEST(FuseTest, AdditionBecomesTheAddendOfTheProduct) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {4, 8});
    const ValueId w = b.weight("w", DType::kF32, {8, 8});
    const ValueId y = b.add(x, b.linear(x, w));
    graph.mark_output(y, "y");
    const MemoryPlan plan = make_plan(graph, all_in_place());
    ASSERT_EQ(plan.graph.nodes().size(), 1U);
    EXPECT_EQ(plan.graph.nodes()[0].op, OpKind::kLinear);
    EXPECT_EQ(plan.graph.nodes()[0].inputs[3], x);
    EXPECT_EQ(plan.graph.nodes()[0].outputs[0], y);
}

TEST(FuseTest, ProductThatSomebodyElseReadsStays) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {4, 8});
    const ValueId w = b.weight("w", DType::kF32, {8, 8});
    const ValueId product = b.linear(x, w);
    graph.mark_output(b.add(x, product), "y");
    graph.mark_output(b.activation(product, ir::Activation::kSilu), "z");
    const MemoryPlan plan = make_plan(graph, all_in_place());
    EXPECT_EQ(plan.graph.nodes().size(), 3U);
}

TEST(LivenessTest, InPlaceChainUsesOneBlock) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {16, 16});
    const ValueId w = b.weight("w", DType::kF32, {16, 16});
    ValueId y = b.linear(x, w);
    for (int i = 0; i < 5; ++i) y = b.activation(y, ir::Activation::kGelu);
    graph.mark_output(y, "y");
    EXPECT_EQ(make_plan(graph, all_in_place()).arena_bytes, 16U * 16U * 4U);
    Capabilities never;
    EXPECT_EQ(make_plan(graph, never).arena_bytes, 2U * 16U * 16U * 4U);
}

TEST(LivenessTest, ValueReadLaterIsNotOverwritten) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {16, 16});
    const ValueId w = b.weight("w", DType::kF32, {16, 16});
    const ValueId y = b.linear(x, w);
    const ValueId z = b.activation(b.reshape(y, {256}), ir::Activation::kGelu);
    graph.mark_output(b.add(b.reshape(z, {16, 16}), y), "out");
    const MemoryPlan plan = make_plan(graph, all_in_place());
    EXPECT_EQ(plan.arena_bytes, 2U * 16U * 16U * 4U);
    expect_no_overlap(plan, all_in_place());
}

// A stack of frozen layers with a small trainable one at the bottom, so that gradients flow
// through.
Graph deep_training_graph(int depth) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {64, 32});
    const ValueId target = b.input("target", DType::kF32, {64, 32});
    const ValueId weights = b.input("weights", DType::kF32, {64});
    ValueId h = b.linear(x, b.param("p", {32, 32}));
    for (int i = 0; i < depth; ++i) {
        const std::string name = std::to_string(i);
        const ValueId gamma = b.weight("gamma" + name, DType::kF32, {32});
        const ValueId beta = b.weight("beta" + name, DType::kF32, {32});
        ValueId y = b.layer_norm(h, {.gamma = gamma, .beta = beta});
        y = b.geglu(b.linear(y, b.weight("up" + name, DType::kF32, {256, 32})));
        h = b.linear(y, b.weight("down" + name, DType::kF32, {32, 128}), {.addend = h});
    }
    const Builder::Loss loss = b.weighted_mse(h, target, weights);
    graph.mark_output(loss.loss, "loss");
    autodiff::differentiate(b, loss.loss);
    return graph;
}

TEST(RecomputeTest, LimitIsKeptAndCheapestIsChosenFirst) {
    const Graph graph = deep_training_graph(8);
    const Capabilities capabilities = all_in_place();
    const MemoryPlan free_plan = make_plan(graph, capabilities);
    EXPECT_EQ(free_plan.num_recomputed, 0);
    const MemoryPlan all = make_plan(graph, capabilities, {.recompute_all = true});
    EXPECT_LT(all.arena_bytes, free_plan.arena_bytes / 2);
    expect_no_overlap(all, capabilities);

    const size_t limit = (all.arena_bytes + free_plan.arena_bytes) / 2;
    const MemoryPlan fitted = make_plan(graph, capabilities, {.max_arena_bytes = limit});
    EXPECT_LE(fitted.arena_bytes, limit);
    EXPECT_GT(fitted.num_recomputed, 0);
    EXPECT_LT(fitted.num_recomputed, all.num_recomputed);
    expect_no_overlap(fitted, capabilities);

    try {
        (void)make_plan(graph, capabilities, {.max_arena_bytes = 1000});
        FAIL() << "a kilobyte cannot be enough";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    }
}

TEST(RecomputeTest, ActivationsRunAgainWhereThatSavesMemory) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {64, 32});
    ValueId h = b.linear(x, b.param("p", {32, 32}));
    for (int i = 0; i < 8; ++i) {
        const std::string name = std::to_string(i);
        const ValueId y = b.geglu(b.linear(h, b.weight("up" + name, DType::kF32, {256, 32})));
        h = b.linear(y, b.param("down" + name, {32, 128}), {.addend = h});
    }
    const ValueId target = b.input("target", DType::kF32, {64, 32});
    const Builder::Loss loss = b.weighted_mse(h, target, b.input("weights", DType::kF32, {64}));
    graph.mark_output(loss.loss, "loss");
    autodiff::differentiate(b, loss.loss);
    Capabilities capabilities = all_in_place();
    const MemoryPlan kept = make_plan(graph, capabilities);
    capabilities.recompute_activations = true;
    const MemoryPlan again = make_plan(graph, capabilities);
    EXPECT_EQ(again.num_recomputed, 8);
    EXPECT_LT(again.arena_bytes, kept.arena_bytes);
    expect_no_overlap(again, capabilities);
}

TEST(GatherTest, GradientsFollowEachOtherWithoutMoreMemory) {
    Graph graph;
    Builder b(graph);
    ValueId h = b.input("x", DType::kF32, {64, 32});
    for (int i = 0; i < 12; ++i) {
        const std::string name = std::to_string(i);
        const ValueId down = b.linear(h, b.param("down" + name, {4, 32}));
        const ValueId up = b.param("up" + name, {32, 4});
        const ValueId main = b.linear(h, b.weight("w" + name, DType::kF32, {32, 32}));
        h = b.activation(b.linear(down, up, {.addend = main}), ir::Activation::kGelu);
    }
    const ValueId target = b.input("target", DType::kF32, {64, 32});
    const Builder::Loss loss = b.weighted_mse(h, target, b.input("weights", DType::kF32, {64}));
    graph.mark_output(loss.loss, "loss");
    autodiff::differentiate(b, loss.loss);

    // How often a gradient follows something else.
    const auto runs = [](const Graph& g) {
        int64_t found = 0;
        bool before = false;
        for (const ir::Node& node : g.nodes()) {
            const bool gradient = node.op == OpKind::kLinearBackwardWeight;
            if (gradient && !before) ++found;
            before = gradient;
        }
        return found;
    };
    Capabilities capabilities = all_in_place();
    const MemoryPlan apart = make_plan(graph, capabilities);
    capabilities.most_gathered_gradients = 8;
    const MemoryPlan together = make_plan(graph, capabilities);
    EXPECT_EQ(count(together.graph, OpKind::kLinearBackwardWeight), 24);
    EXPECT_LT(2 * runs(together.graph), runs(apart.graph));
    EXPECT_LE(together.arena_bytes, apart.arena_bytes);
    expect_no_overlap(together, capabilities);
}

// A stack of layers whose weights are rebuilt from parameters (LoHa's).
Graph rebuilt_layers(int64_t count) {
    Graph graph;
    Builder b(graph);
    ValueId x = b.input("x", DType::kF32, {4096, 16});
    for (int64_t i = 0; i < count; ++i) {
        const std::string name = std::to_string(i);
        const auto factor = [&](const char* kind, const Shape& shape) {
            return b.cast(b.param(kind + name, shape, DType::kF32), DType::kF32);
        };
        const ValueId w = b.weight("w" + name, DType::kF32, {16, 16});
        x = b.linear(x,
                     b.hadamard({factor("a", {16, 2}), factor("b", {2, 16})},
                                {factor("c", {16, 2}), factor("d", {2, 16})},
                                1,
                                w));
    }
    graph.mark_output(x, "y");
    return graph;
}

TEST(LeadTest, AWeightIsMadeWhileTheOneBeforeIsRead) {
    const Graph graph = rebuilt_layers(5);
    const auto order = [](const Graph& g) {
        std::string letters;
        for (const ir::Node& node : g.nodes()) {
            if (node.op == OpKind::kHadamard) letters += 'H';
            if (node.op == OpKind::kLinear) letters += 'L';
        }
        return letters;
    };
    Capabilities capabilities = all_in_place();
    EXPECT_EQ(order(make_plan(graph, capabilities).graph), "HLHLHLHLHL");
    capabilities.runs_side_by_side = true;
    const MemoryPlan ahead = make_plan(graph, capabilities);
    EXPECT_EQ(order(ahead.graph), "HHLHLHLHLL");
    expect_no_overlap(ahead, capabilities);
    // Two neighbours lie in different places.
    std::vector<size_t> offsets;
    for (const ir::Node& node : ahead.graph.nodes()) {
        if (node.op != OpKind::kHadamard) continue;
        offsets.push_back(ahead.values[static_cast<size_t>(node.outputs[0].index)].offset_bytes);
    }
    for (size_t i = 1; i < offsets.size(); ++i) EXPECT_NE(offsets[i], offsets[i - 1]);
    // Not where the limit has no room for it.
    const size_t least = make_plan(graph, all_in_place()).arena_bytes;
    const MemoryPlan tight = make_plan(graph, capabilities, {.max_arena_bytes = least});
    EXPECT_LE(tight.arena_bytes, least);
}

TEST(DeadNodesTest, WhatNobodyReadsIsGone) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, {4, 8});
    const ValueId y = b.scale(x, 2);
    b.scale(y, 3);
    graph.mark_output(y, "y");
    const MemoryPlan plan = make_plan(graph, all_in_place());
    EXPECT_EQ(count(plan.graph, OpKind::kScale), 1);
}

}  // namespace
}  // namespace lora::plan
