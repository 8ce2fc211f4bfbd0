// Which temporaries share bytes (views, in-place results) and when each piece of memory is in use.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"
#include "plan/capabilities.h"

namespace lora::plan {

// One piece of arena memory, in use from the node that first writes it to the one that last reads
// it, both included. Outputs stay in use until the end.
struct Block {
    size_t size_bytes = 0;
    int32_t first_node = 0;
    int32_t last_node = 0;
};

struct Liveness {
    static constexpr int32_t kNoBlock = -1;
    std::vector<Block> blocks;
    std::vector<int32_t> block_of_value;    // by value index; kNoBlock for values from outside
    std::vector<int32_t> block_of_scratch;  // by node index
};

[[nodiscard]] Liveness find_liveness(const ir::Graph& graph, const Capabilities& capabilities);

}  // namespace lora::plan
