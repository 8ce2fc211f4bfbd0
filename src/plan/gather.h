// Weight gradients that follow each other, so that a backend can run many of them as one. Only what
// runs after the step reads them, so they may wait; their operands wait with them, as far as memory
// is free that the plan's peak needs at another time anyway.
#pragma once

#include "ir/graph.h"
#include "plan/capabilities.h"

namespace lora::plan {

// Moves gradients back to groups of at most capabilities.most_gathered_gradients. Memory in use,
// operands that wait included, stays below `limit_bytes`, or below the peak there is without them.
void gather_gradients(ir::Graph& graph, const Capabilities& capabilities, size_t limit_bytes);

}  // namespace lora::plan
