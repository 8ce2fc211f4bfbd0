// Checks a whole graph: shapes follow the rules, values are defined before use, one writer each.
#pragma once

#include "ir/graph.h"

namespace lora::ir {

// Errors  kInternal naming the first node that is wrong.
void verify(const Graph& graph);

}  // namespace lora::ir
