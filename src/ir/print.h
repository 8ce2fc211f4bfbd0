// Text forms of values and graphs, for messages, traces and tests.
#pragma once

#include <string>

#include "ir/graph.h"

namespace lora::ir {

// "F32[2, 320, 64, 64]nhwc"
[[nodiscard]] std::string describe(const Value& value);
// One line a node: `12: linear(%3 F32[..], w) -> %13 F32[..]  # scope`
[[nodiscard]] std::string print(const Graph& graph);

}  // namespace lora::ir
