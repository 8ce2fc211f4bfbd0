// Shape rules: what an operator's outputs are, given its inputs. One file per family in ops/.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace lora::ir {

struct ValueType {
    DType dtype = DType::kF32;
    Shape shape;
    Layout layout = Layout::kRowMajor;
};

// Types of all outputs. Errors  kInternal naming operator, scope and shapes when inputs do not fit.
[[nodiscard]] std::vector<ValueType> infer_outputs(const Graph& graph, const Node& node);

namespace rules {

[[nodiscard]] std::vector<ValueType> movement(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> product(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> norm(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> attention(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> elementwise(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> source(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> hadamard(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> loss(const Graph& graph, const Node& node);
[[nodiscard]] std::vector<ValueType> update(const Graph& graph, const Node& node);

// Input i of the node; fails a rule with a message that names operator, scope and input types.
[[nodiscard]] const Value& input(const Graph& graph, const Node& node, int i);
[[nodiscard]] bool has_input(const Node& node, int i);
void require(bool condition, const Graph& graph, const Node& node, const char* what);

}  // namespace rules
}  // namespace lora::ir
