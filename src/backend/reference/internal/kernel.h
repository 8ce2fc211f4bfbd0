// What a reference operator sees while it runs: its node, and its operands as doubles.
// Used by the operator files of this folder.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ir/graph.h"

namespace lora::reference {

using Doubles = std::vector<double>;

// One node about to run. Operands are loaded whole before results are stored, so an output may
// share its buffer with an input.
class NodeRun {
public:
    // `addresses`: where each value of the graph lies, by value index.
    NodeRun(const ir::Graph& graph, const ir::Node& node, std::span<std::byte* const> addresses)
        : graph_(&graph), node_(&node), addresses_(addresses) {}

    [[nodiscard]] ir::OpKind op() const { return node_->op; }
    [[nodiscard]] const ir::Attributes& attrs() const { return node_->attrs; }
    [[nodiscard]] bool has(int input) const;
    [[nodiscard]] const ir::Value& input(int i) const;
    [[nodiscard]] const ir::Value& output(int i) const;

    // Elements in the order in which they lie in memory.
    [[nodiscard]] Doubles load(int input) const;
    [[nodiscard]] Doubles load_range(int input, int64_t first, int64_t count) const;
    // Zeros like the output.
    [[nodiscard]] Doubles zeros_like_output(int i) const;
    // Rounds to the output's type; with attrs.accumulate adds to what output 0 holds.
    void store(int output, std::span<const double> values) const;
    // Overwrites an input that the operator updates in place.
    void store_input(int input, std::span<const double> values) const;

private:
    [[nodiscard]] std::byte* address(ir::ValueId id) const;

    const ir::Graph* graph_;
    const ir::Node* node_;
    std::span<std::byte* const> addresses_;
};

using Kernel = void (*)(const NodeRun& run);

// The operator's definition; null for views, which never run.
[[nodiscard]] Kernel kernel_for(ir::OpKind op);

// How far apart neighbours lie along each axis of an image [N, C, H, W] in its layout.
struct ImageStrides {
    int64_t n = 0;
    int64_t c = 0;
    int64_t h = 0;
    int64_t w = 0;
    [[nodiscard]] size_t at(int64_t in, int64_t ic, int64_t ih, int64_t iw) const {
        return static_cast<size_t>(in * n + ic * c + ih * h + iw * w);
    }
};
[[nodiscard]] ImageStrides image_strides(const Shape& shape, ir::Layout layout);

namespace ops {

void reorder(const NodeRun& run);
void cast(const NodeRun& run);
void concat(const NodeRun& run);
void slice(const NodeRun& run);
void pad(const NodeRun& run);
void swap_axes(const NodeRun& run);
void upsample2x(const NodeRun& run);
void upsample2x_backward(const NodeRun& run);
void linear(const NodeRun& run);
void linear_backward_weight(const NodeRun& run);
void conv2d(const NodeRun& run);
void conv2d_backward_input(const NodeRun& run);
void conv2d_backward_weight(const NodeRun& run);
void hadamard(const NodeRun& run);
void hadamard_backward(const NodeRun& run);
void group_norm(const NodeRun& run);
void group_norm_backward(const NodeRun& run);
void layer_norm(const NodeRun& run);
void layer_norm_backward(const NodeRun& run);
void dora_scale(const NodeRun& run);
void dora_scale_backward(const NodeRun& run);
void attention(const NodeRun& run);
void attention_backward(const NodeRun& run);
void activation(const NodeRun& run);
void activation_backward(const NodeRun& run);
void geglu(const NodeRun& run);
void geglu_backward(const NodeRun& run);
void add(const NodeRun& run);
void multiply(const NodeRun& run);
void scale(const NodeRun& run);
void add_channel(const NodeRun& run);
void sum_spatial(const NodeRun& run);
void mix_rows(const NodeRun& run);
void dropout(const NodeRun& run);
void embedding(const NodeRun& run);
void timestep_embedding(const NodeRun& run);
void dequantize(const NodeRun& run);
void weighted_loss(const NodeRun& run);
void weighted_loss_backward(const NodeRun& run);
void sum_squares(const NodeRun& run);
void clip_coefficient(const NodeRun& run);
void update_globals(const NodeRun& run);
void update_sums(const NodeRun& run);
void update_step(const NodeRun& run);
void update_step_8bit(const NodeRun& run);
void update_factored(const NodeRun& run);
void limit_norm(const NodeRun& run);

}  // namespace ops

// The functions that activation and group_norm share.
[[nodiscard]] double activate(ir::Activation activation, double x);
[[nodiscard]] double activation_slope(ir::Activation activation, double x);

}  // namespace lora::reference
