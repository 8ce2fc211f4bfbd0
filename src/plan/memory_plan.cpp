#include "plan/memory_plan.h"

#include <fmt/format.h>

#include "base/check.h"
#include "ir/cost.h"
#include "ir/verify.h"
#include "plan/arena.h"
#include "plan/fuse.h"
#include "plan/gather.h"
#include "plan/lead.h"
#include "plan/liveness.h"
#include "plan/recompute.h"
#include "plan/schedule.h"

namespace lora::plan {
namespace {

MemoryPlan place(ir::Graph graph, const Capabilities& capabilities) {
    const Liveness liveness = find_liveness(graph, capabilities);
    const Placement placement = place_blocks(liveness.blocks, capabilities.alignment_bytes);
    MemoryPlan plan;
    const auto slot = [&](int32_t block) {
        if (block == Liveness::kNoBlock) return Slot{};
        const size_t index = static_cast<size_t>(block);
        return Slot{placement.offset_bytes[index], liveness.blocks[index].size_bytes};
    };
    for (const int32_t block : liveness.block_of_value) plan.values.push_back(slot(block));
    for (const int32_t block : liveness.block_of_scratch) plan.scratch.push_back(slot(block));
    plan.arena_bytes = placement.arena_bytes;
    plan.graph = std::move(graph);
    return plan;
}

// The plan with these candidates recomputed.
MemoryPlan plan_with(const ir::Graph& graph,
                     const std::vector<Candidate>& chosen,
                     const Capabilities& capabilities) {
    ir::Graph copy = graph;
    const int64_t added = recompute(copy, chosen);
    remove_dead_nodes(copy);
    schedule(copy);
    MemoryPlan plan = place(std::move(copy), capabilities);
    plan.num_recomputed = added;
    return plan;
}

MemoryPlan plan_with(const ir::Graph& graph,
                     const std::vector<Candidate>& candidates,
                     size_t count,
                     const Capabilities& capabilities) {
    const auto end = candidates.begin() + narrow<std::ptrdiff_t>(count);
    return plan_with(graph, {candidates.begin(), end}, capabilities);
}

// The plan without a limit: only what costs next to nothing is recomputed, if that saves memory.
MemoryPlan plan_freely(const ir::Graph& graph, const Capabilities& capabilities) {
    MemoryPlan plan = plan_with(graph, {}, capabilities);
    if (!capabilities.recompute_activations) return plan;
    std::vector<Candidate> chosen = find_candidates(graph);
    std::erase_if(chosen, [&graph](const Candidate& candidate) {
        const ir::OpKind op = graph.nodes()[static_cast<size_t>(candidate.node)].op;
        return op != ir::OpKind::kGeglu && op != ir::OpKind::kActivation;
    });
    MemoryPlan recomputed = plan_with(graph, chosen, capabilities);
    return recomputed.arena_bytes < plan.arena_bytes ? recomputed : plan;
}

// Fewest candidates whose plan fits. More of them nearly always need less memory, so a binary
// search finds the border; the answer is checked, never assumed.
MemoryPlan fit(const ir::Graph& graph, const Capabilities& capabilities, size_t limit) {
    const std::vector<Candidate> candidates = find_candidates(graph);
    size_t low = 0;
    size_t high = candidates.size();
    MemoryPlan best = plan_with(graph, candidates, high, capabilities);
    if (best.arena_bytes > limit) {
        throw Error(
            ErrorCode::kOutOfMemory,
            fmt::format("the step needs at least {} MiB of working memory, the limit is {} MiB",
                        best.arena_bytes >> 20U,
                        limit >> 20U))
            .with_hint("lower train_batch_size or resolution, or raise max_memory");
    }
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        MemoryPlan candidate = plan_with(graph, candidates, middle, capabilities);
        if (candidate.arena_bytes <= limit) {
            best = std::move(candidate);
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return best;
}

// The plan with its weight gradients gathered, if it needs no more memory so. Placing leaves gaps,
// so the operands that wait may first have to be fewer.
MemoryPlan gathered(MemoryPlan plan, const Capabilities& capabilities) {
    if (capabilities.most_gathered_gradients < 2) return plan;
    const size_t peak = lower_bound_bytes(find_liveness(plan.graph, capabilities).blocks,
                                          capabilities.alignment_bytes);
    for (const size_t tenths : {10U, 9U, 8U, 7U, 6U, 5U, 4U, 3U}) {
        ir::Graph graph = plan.graph;
        gather_gradients(graph, capabilities, peak / 10 * tenths);
        MemoryPlan candidate = place(std::move(graph), capabilities);
        if (candidate.arena_bytes > plan.arena_bytes) continue;
        candidate.num_recomputed = plan.num_recomputed;
        candidate.slowdown = plan.slowdown;
        return candidate;
    }
    return plan;
}

// The plan with rebuilt weights made one product ahead, if that costs no more than a few hundredths
// of its memory and stays within the limit.
MemoryPlan ahead(MemoryPlan plan, const Capabilities& capabilities, size_t limit) {
    if (!capabilities.runs_side_by_side) return plan;
    ir::Graph graph = plan.graph;
    lead_weights(graph);
    MemoryPlan candidate = place(std::move(graph), capabilities);
    const size_t most = plan.arena_bytes + plan.arena_bytes / 32;
    if (candidate.arena_bytes > (limit > 0 ? std::min(limit, most) : most)) return plan;
    candidate.num_recomputed = plan.num_recomputed;
    candidate.slowdown = plan.slowdown;
    return candidate;
}

}  // namespace

size_t smallest_arena_bytes(ir::Graph graph, const Capabilities& capabilities) {
    remove_dead_nodes(graph);
    fuse(graph, capabilities);
    return plan_with(graph, find_candidates(graph), capabilities).arena_bytes;
}

MemoryPlan make_plan(ir::Graph graph,
                     const Capabilities& capabilities,
                     const PlanOptions& options) {
    remove_dead_nodes(graph);
    fuse(graph, capabilities);
    ir::verify(graph);
    if (options.recompute_all) {
        const std::vector<Candidate> candidates = find_candidates(graph);
        MemoryPlan plan =
            gathered(plan_with(graph, candidates, candidates.size(), capabilities), capabilities);
        ir::verify(plan.graph);
        return plan;
    }
    MemoryPlan plan = plan_freely(graph, capabilities);
    if (options.max_arena_bytes > 0 && plan.arena_bytes > options.max_arena_bytes) {
        const double free_time = ir::relative_time(plan.graph);
        plan = fit(graph, capabilities, options.max_arena_bytes);
        plan.slowdown = ir::relative_time(plan.graph) / free_time;
    }
    plan = gathered(std::move(plan), capabilities);
    plan = ahead(std::move(plan), capabilities, options.max_arena_bytes);
    ir::verify(plan.graph);
    return plan;
}

}  // namespace lora::plan
