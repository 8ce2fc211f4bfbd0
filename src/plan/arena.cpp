#include "plan/arena.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace lora::plan {
namespace {

size_t round_up(size_t bytes, size_t alignment) {
    return (bytes + alignment - 1) / alignment * alignment;
}

bool overlap_in_time(const Block& a, const Block& b) {
    return a.first_node <= b.last_node && b.first_node <= a.last_node;
}

// Places blocks one after another, each at the lowest offset that is free while it lives.
Placement place_in_order(const std::vector<Block>& blocks,
                         const std::vector<size_t>& order,
                         size_t alignment) {
    Placement result;
    result.offset_bytes.assign(blocks.size(), 0);
    std::vector<size_t> placed;
    std::vector<std::pair<size_t, size_t>> taken;  // offset, end
    for (const size_t index : order) {
        const Block& block = blocks[index];
        taken.clear();
        for (const size_t other : placed) {
            if (!overlap_in_time(block, blocks[other])) continue;
            const size_t offset = result.offset_bytes[other];
            taken.emplace_back(offset, offset + round_up(blocks[other].size_bytes, alignment));
        }
        std::sort(taken.begin(), taken.end());
        size_t offset = 0;
        const size_t size = round_up(block.size_bytes, alignment);
        for (const auto& [begin, end] : taken) {
            if (begin >= offset + size) break;
            offset = std::max(offset, end);
        }
        result.offset_bytes[index] = offset;
        result.arena_bytes = std::max(result.arena_bytes, offset + size);
        placed.push_back(index);
    }
    return result;
}

}  // namespace

size_t lower_bound_bytes(const std::vector<Block>& blocks, size_t alignment_bytes) {
    std::map<int32_t, int64_t> change;
    for (const Block& block : blocks) {
        const auto size = static_cast<int64_t>(round_up(block.size_bytes, alignment_bytes));
        change[block.first_node] += size;
        change[block.last_node + 1] -= size;
    }
    int64_t live = 0;
    int64_t peak = 0;
    for (const auto& [node, delta] : change) {
        live += delta;
        peak = std::max(peak, live);
    }
    return static_cast<size_t>(peak);
}

Placement place_blocks(const std::vector<Block>& blocks, size_t alignment_bytes) {
    std::vector<size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const size_t bound = lower_bound_bytes(blocks, alignment_bytes);
    const auto duration = [&blocks](size_t i) {
        return static_cast<double>(blocks[i].last_node - blocks[i].first_node + 1);
    };
    const auto size = [&blocks](size_t i) { return static_cast<double>(blocks[i].size_bytes); };

    // Three orders: largest first, largest area (size x time) first, longest-lived first.
    Placement best;
    for (int heuristic = 0; heuristic < 3; ++heuristic) {
        const auto key = [&](size_t i) {
            if (heuristic == 0) return size(i);
            if (heuristic == 1) return size(i) * duration(i);
            return duration(i);
        };
        std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
            if (key(a) != key(b)) return key(a) > key(b);
            return blocks[a].first_node < blocks[b].first_node;
        });
        Placement candidate = place_in_order(blocks, order, alignment_bytes);
        if (heuristic == 0 || candidate.arena_bytes < best.arena_bytes) best = std::move(candidate);
        if (best.arena_bytes <= bound) break;
    }
    return best;
}

}  // namespace lora::plan
