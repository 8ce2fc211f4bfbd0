// A graph of operators over values, in execution order: what models build, autodiff extends, the
// planner arranges and backends run. Not executable by itself.
// Threads  a Graph is a plain value; const access from many threads is fine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/op.h"

namespace lora::ir {

struct ValueId {
    int32_t index = -1;
    [[nodiscard]] bool valid() const { return index >= 0; }
    bool operator==(const ValueId&) const = default;
};
inline constexpr ValueId kNoValue{};

enum class ValueKind : uint8_t {
    kInput,   // written by the caller before a run
    kWeight,  // frozen; a backend may keep it in any form
    kParam,   // trainable, fp32, persistent
    kState,   // persistent and written by the graph (gradients, moments)
    kTemp,    // lives in the arena
};

struct Value {
    ValueKind kind = ValueKind::kTemp;
    DType dtype = DType::kF32;
    Layout layout = Layout::kRowMajor;
    Shape shape;
    std::string name;        // unique among non-temporary values; optional for temporaries
    int32_t producer = -1;   // node index; -1 for values that come from outside
    bool is_output = false;  // temporary that must be readable after the run

    [[nodiscard]] size_t num_bytes() const;
};

struct Node {
    OpKind op = OpKind::kReshape;
    std::vector<ValueId> inputs;   // as many as op_info(op).num_inputs; kNoValue where absent
    std::vector<ValueId> outputs;  // temporaries, or a kState value that only this node writes
    Attributes attrs;
    std::string scope;  // "unet.input_blocks.1.1.attn1", for traces and messages
};

class Graph {
public:
    // Adds a value that comes from outside. Throws kInternal when the name is taken.
    ValueId add_external(ValueKind kind,
                         std::string name,
                         DType dtype,
                         Shape shape,
                         Layout layout = Layout::kRowMajor);
    // Appends a node; shapes, types and layouts of new outputs follow from the operator's rule.
    // `dst`, when given, is the kState value that output 0 writes.
    // Throws kInternal naming the operator and shapes when the rule rejects the inputs.
    int32_t add_node(Node node, ValueId dst = kNoValue);

    [[nodiscard]] const Value& value(ValueId id) const;
    [[nodiscard]] Value& value(ValueId id);
    [[nodiscard]] const std::vector<Value>& values() const { return values_; }
    [[nodiscard]] const std::vector<Node>& nodes() const { return nodes_; }
    [[nodiscard]] std::vector<Node>& nodes() { return nodes_; }
    // A non-temporary value, or a temporary marked as output, by name.
    [[nodiscard]] std::optional<ValueId> find(std::string_view name) const;
    [[nodiscard]] ValueId at(std::string_view name) const;
    // Marks a temporary as output under a unique name.
    void mark_output(ValueId id, std::string name);
    // Replaces the node list (same values); producers are set anew.
    void set_nodes(std::vector<Node> nodes);
    // For every value, the indices of the nodes that read it, ascending.
    [[nodiscard]] std::vector<std::vector<int32_t>> consumers() const;

private:
    std::vector<Value> values_;
    std::vector<Node> nodes_;
    std::unordered_map<std::string, ValueId> names_;
};

// The value whose bytes `id` really is: follows views to their source.
[[nodiscard]] ValueId storage_of(const Graph& graph, ValueId id);

// How a logical axis lies in memory: elements = outer * size * inner, contiguous.
struct AxisSpan {
    int64_t outer = 1;
    int64_t size = 1;
    int64_t inner = 1;
};
// Negative axes count from the end. Channels-last: axis 1 is innermost, 2 and 3 follow N.
[[nodiscard]] AxisSpan axis_span(const Shape& shape, Layout layout, int axis);

}  // namespace lora::ir
