// Rewrites a graph into fewer operators where the backend's capabilities allow it, and drops nodes
// whose results nobody reads. Values keep their ids.
#pragma once

#include "ir/graph.h"
#include "plan/capabilities.h"

namespace lora::plan {

// add(a, product) -> product with addend a; activation(group_norm) -> group_norm with activation;
// two linear layers whose results are added -> one with a second product.
void fuse(ir::Graph& graph, const Capabilities& capabilities);
// Removes nodes that write no state, no output, and nothing that a kept node reads.
void remove_dead_nodes(ir::Graph& graph);

}  // namespace lora::plan
