// Lets weights that are rebuilt from parameters (LoHa's) be made one product ahead.
#pragma once

#include "ir/graph.h"

namespace lora::plan {

// Where each rebuilt weight stood, the next one is made: it then lies beside the weight in use, not
// in its place, and a backend that runs nodes side by side need not wait with it. Costs the memory
// of one more weight.
void lead_weights(ir::Graph& graph);

}  // namespace lora::plan
