// Chooses the order of nodes. The order given by the builder is kept except where a node can wait
// until its result is wanted without keeping anything else alive longer.
#pragma once

#include <cstddef>
#include <vector>

#include "ir/graph.h"

namespace lora::plan {

void schedule(ir::Graph& graph);

// Puts the nodes in this order: order[i] is the index of the node that comes i-th.
void reorder(ir::Graph& graph, const std::vector<size_t>& order);

}  // namespace lora::plan
