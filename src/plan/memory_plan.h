// From a graph to a plan: fused, ordered, with a place in one arena for every temporary value, so
// that the peak is known exactly before anything runs.
// Steps, one file each: fuse.h, schedule.h, gather.h, liveness.h, recompute.h,
// arena.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "plan/capabilities.h"

namespace lora::plan {

struct PlanOptions {
    // Arena limit in bytes; 0: none. The planner recomputes activations, cheapest first, until the
    // plan fits. Errors  kOutOfMemory with the smallest arena reached when nothing fits.
    size_t max_arena_bytes = 0;
    // Recompute everything that pays, whatever the limit (gradient_checkpointing).
    bool recompute_all = false;
};

struct Slot {
    static constexpr size_t kNone = SIZE_MAX;
    size_t offset_bytes = kNone;
    size_t size_bytes = 0;
    [[nodiscard]] bool used() const { return offset_bytes != kNone; }
};

struct MemoryPlan {
    ir::Graph graph;             // nodes in execution order
    std::vector<Slot> values;    // by value index; set for temporaries, views share their source's
    std::vector<Slot> scratch;   // by node index
    size_t arena_bytes = 0;      // exact: the run touches no other temporary memory
    int64_t num_recomputed = 0;  // nodes that run twice
    double slowdown = 1;         // estimated time, over that of the plan without a limit
};

// The arena with everything recomputed that can be: about the least that a limit may ask for.
[[nodiscard]] size_t smallest_arena_bytes(ir::Graph graph, const Capabilities& capabilities);

[[nodiscard]] MemoryPlan make_plan(ir::Graph graph,
                                   const Capabilities& capabilities,
                                   const PlanOptions& options = {});

}  // namespace lora::plan
