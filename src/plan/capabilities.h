// What a backend tells the planner: which forms it runs well, and what each operator needs beside
// its inputs and outputs. The planner knows no backend beyond this.
#pragma once

#include <cstddef>
#include <functional>

#include "ir/graph.h"

namespace lora::plan {

struct Capabilities {
    // Bytes of scratch that a node needs while it runs, within the given graph.
    std::function<size_t(const ir::Graph&, const ir::Node&)> scratch_bytes;
    // The node may write output 0 over its in-place input (op_info().inplace_input).
    std::function<bool(const ir::Graph&, const ir::Node&)> can_run_in_place;
    // add(a, product) becomes the product's addend.
    bool fuse_add_into_linear = true;
    bool fuse_add_into_conv = true;
    // linear(x2, w2) added to linear(x, w) becomes its second product, up to this many columns of
    // x2; 0: never.
    int64_t max_second_product = 0;
    // Weight gradients that run as one when they follow each other; below 2: none.
    int64_t most_gathered_gradients = 0;
    // Nodes that share no memory may run at the same time.
    bool runs_side_by_side = false;
    // Activations and gates are computed again for the backward pass where that saves memory.
    bool recompute_activations = false;
    // activation(group_norm(x)) becomes one operator.
    bool fuse_activation_into_group_norm = true;
    // Every buffer starts at a multiple of this.
    size_t alignment_bytes = 64;
};

}  // namespace lora::plan
