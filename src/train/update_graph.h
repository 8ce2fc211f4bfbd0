// An optimizer as a graph over the flat parameters, with the tables that say which elements it
// touches and the states that it keeps. Not its running (optimizer.h).
// Shapes   values and gradients [Network::num_elements()]; states are flat too, their tensors named
//          one by one so that a train state can be read without this program.
// Threads  plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "train/network.h"
#include "train/optimizer_spec.h"

namespace lora::train {

// A piece of a state that belongs to one parameter, or the whole of a global one.
struct StateTensor {
    std::string name;  // "moment1.<key>", "globals"
    Shape shape;
    int64_t offset = 0;  // elements into the state
};

struct StateSlot {
    std::string name;  // "moment1"; in the graph "state.moment1"
    DType dtype = DType::kF32;
    int64_t num_elements = 0;
    bool starts_at_values = false;  // a copy of the first parameters instead of zeros
    std::vector<StateTensor> tensors;
    [[nodiscard]] size_t num_bytes() const;
};

// What one state holds.
struct StateContent {
    StateSlot slot;
    std::vector<std::byte> bytes;
};

// States of every tensor of the network, trained or not.
[[nodiscard]] std::vector<StateSlot> state_slots(const Network& network,
                                                 const OptimizerSpec& spec,
                                                 DType dtype = DType::kF32);
[[nodiscard]] size_t state_bytes(const Network& network, const OptimizerSpec& spec);

// Rows of the operators' tables (ir/op.h).
struct UpdateTables {
    std::vector<int32_t> pieces;   // [P, 4]
    std::vector<int32_t> blocks;   // [B, 4] with states in 8 bit
    std::vector<int32_t> tensors;  // [T, 7] with factored states
    [[nodiscard]] bool empty() const { return pieces.empty() && blocks.empty() && tensors.empty(); }
};
// `groups`: of every entry of the network; below 0: not trained.
[[nodiscard]] UpdateTables update_tables(const Network& network,
                                         const OptimizerSpec& spec,
                                         std::span<const int> groups);

// Values: param "values", states "gradients", "state.<slot>"; inputs "schedule" [G, 4] and, as
// needed, "pieces", "blocks", "tensors", "maps"; output "grad_norm".
[[nodiscard]] ir::Graph build_update_graph(const Network& network,
                                           const OptimizerSpec& spec,
                                           const UpdateTables& tables,
                                           int64_t num_groups,
                                           DType dtype = DType::kF32);

}  // namespace lora::train
