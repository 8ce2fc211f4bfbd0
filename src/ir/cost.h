// How much arithmetic and memory traffic a node asks for: what estimates of time and the backends'
// choices between kernels start from. Threads  pure functions.
#pragma once

#include "ir/graph.h"

namespace lora::ir {

// Multiplications and additions of a product (linear, convolution, attention), a joined second
// product included; 0 for every other operator.
[[nodiscard]] double num_flops(const Graph& graph, const Node& node);
// The same of all nodes.
[[nodiscard]] double num_flops(const Graph& graph);

// Bytes of all operands, each counted once.
[[nodiscard]] double num_bytes(const Graph& graph, const Node& node);

}  // namespace lora::ir
