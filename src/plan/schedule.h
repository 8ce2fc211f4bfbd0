// Chooses the order of nodes. The order given by the builder is kept except where a node can wait
// until its result is wanted without keeping anything else alive longer.
#pragma once

#include "ir/graph.h"

namespace lora::plan {

void schedule(ir::Graph& graph);

}  // namespace lora::plan
