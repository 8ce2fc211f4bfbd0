// Places blocks of memory with known lifetimes into one arena so that blocks in use at the same
// time never overlap. Greedy over several orders; the smallest arena wins.
#pragma once

#include <cstddef>
#include <vector>

#include "plan/liveness.h"

namespace lora::plan {

struct Placement {
    std::vector<size_t> offset_bytes;  // by block index
    size_t arena_bytes = 0;
};

[[nodiscard]] Placement place_blocks(const std::vector<Block>& blocks, size_t alignment_bytes);
// Bytes in use at the busiest node: no placement can be smaller.
[[nodiscard]] size_t lower_bound_bytes(const std::vector<Block>& blocks, size_t alignment_bytes);

}  // namespace lora::plan
