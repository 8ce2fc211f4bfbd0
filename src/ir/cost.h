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

// How long a graph takes, in no unit: the larger of arithmetic and traffic for every node, where a
// machine does as many operations as it moves bytes times its balance. For comparing two plans of
// one graph.
[[nodiscard]] double relative_time(const Graph& graph);

// Bytes of all operands, each counted once.
[[nodiscard]] double num_bytes(const Graph& graph, const Node& node);

}  // namespace lora::ir
