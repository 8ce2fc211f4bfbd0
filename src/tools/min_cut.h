// The cheapest cut between two groups of nodes: source side and sink side. Used to part a figure
// from its background. Not a general graph library.
// Shapes   nodes are 0 to num_nodes - 1; capacities are whole numbers, at least 0.
// Threads  one at a time. The answer depends on the input alone.
// Source   Boykov and Kolmogorov 2004, "An experimental comparison of min-cut/max-flow algorithms
//          for energy minimization in vision": two search trees that are kept between
//          augmentations.
#pragma once

#include <cstdint>
#include <vector>

namespace lora::tools {

class MinCut {
public:
    explicit MinCut(int64_t num_nodes, int64_t num_edges = 0);

    // Adds to what cutting the node from the source, or from the sink, costs.
    void add_terminal(int64_t node, int64_t source_capacity, int64_t sink_capacity);
    // What it costs to have a on the source side and b on the sink side, and the other way round.
    void add_edge(int64_t a, int64_t b, int64_t capacity, int64_t back_capacity);

    // The cost of the cheapest cut. At most once.
    int64_t solve();
    // After solve(): nodes that may lie on either side are on the sink's.
    [[nodiscard]] bool on_source_side(int64_t node) const;

private:
    enum class Tree : uint8_t { kNone, kSource, kSink };
    static constexpr int32_t kNil = -1;       // no arc, no node
    static constexpr int32_t kTerminal = -2;  // the parent is source or sink itself
    static constexpr int32_t kOrphan = -3;

    struct Node {
        int32_t first = kNil;   // arcs that leave
        int32_t parent = kNil;  // arc towards the root
        int32_t next_active = kNil;
        int32_t stamp = 0;  // when the distance was last known to hold
        int32_t distance = 0;
        Tree tree = Tree::kNone;
        bool active = false;
        int64_t terminal = 0;  // left to the source (above 0) or the sink (below)
    };
    struct Arc {
        int32_t head = 0;
        int32_t next = kNil;
        int64_t left = 0;  // capacity
    };

    void activate(int32_t node);
    int32_t next_active();
    int32_t grow(int32_t node);     // the arc where the trees meet, from source to sink; or kNil
    void augment(int32_t meeting);  // pushes flow along the path through this arc
    void adopt(int32_t orphan);     // a new parent, or out of the tree
    int32_t origin_distance(int32_t node, bool& reaches);
    void make_orphan(int32_t node);

    std::vector<Node> nodes_;
    std::vector<Arc> arcs_;  // arc i and i ^ 1 are each other's way back
    std::vector<int32_t> orphans_;
    int32_t queue_first_ = kNil;
    int32_t queue_last_ = kNil;
    int32_t time_ = 0;
    int64_t flow_ = 0;
};

}  // namespace lora::tools
