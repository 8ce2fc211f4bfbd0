// Recomputation of activations: instead of keeping a forward value until its gradient is computed,
// the node that makes it runs again just before. A choice of the planner; results do not change.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace lora::plan {

// A forward node whose outputs the backward pass reads and that may run again.
struct Candidate {
    int32_t node = 0;
    int level = 0;  // 0 elementwise and norms, 1 linear layers, 2 attention and convolutions
    size_t saved_bytes = 0;
};

// Cheapest first: by level, then most bytes first. Nodes that carry the residual stream (products
// with an addend) are never candidates: they are where recomputation starts from.
[[nodiscard]] std::vector<Candidate> find_candidates(const ir::Graph& graph);

// Runs the given forward nodes again in the backward pass, and those that make weights, of bytes
// or of LoHa's factors, always: kept, they would take the room of a whole model; each just before
// its first reader there. Returns the number of nodes added.
int64_t recompute(ir::Graph& graph, const std::vector<Candidate>& chosen);

}  // namespace lora::plan
