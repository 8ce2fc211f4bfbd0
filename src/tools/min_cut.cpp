#include "tools/min_cut.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace lora::tools {
namespace {

size_t at(int32_t index) { return static_cast<size_t>(index); }
int32_t back(int32_t arc) { return arc ^ 1; }

}  // namespace

MinCut::MinCut(int64_t num_nodes, int64_t num_edges) {
    LORA_CHECK(num_nodes >= 0 && num_edges < std::numeric_limits<int32_t>::max() / 2,
               "size of a graph");
    nodes_.resize(static_cast<size_t>(num_nodes));
    arcs_.reserve(static_cast<size_t>(2 * num_edges));
}

void MinCut::add_terminal(int64_t node, int64_t source_capacity, int64_t sink_capacity) {
    int64_t& left = nodes_[static_cast<size_t>(node)].terminal;
    if (left > 0) {
        source_capacity += left;
    } else {
        sink_capacity -= left;
    }
    flow_ += std::min(source_capacity, sink_capacity);  // goes straight through
    left = source_capacity - sink_capacity;
}

void MinCut::add_edge(int64_t a, int64_t b, int64_t capacity, int64_t back_capacity) {
    LORA_DCHECK(a != b, "an edge joins two nodes");
    const auto there = static_cast<int32_t>(arcs_.size());
    Node& from = nodes_[static_cast<size_t>(a)];
    Node& to = nodes_[static_cast<size_t>(b)];
    arcs_.push_back({static_cast<int32_t>(b), from.first, capacity});
    arcs_.push_back({static_cast<int32_t>(a), to.first, back_capacity});
    from.first = there;
    to.first = there + 1;
}

void MinCut::activate(int32_t node) {
    Node& it = nodes_[at(node)];
    if (it.active) return;
    it.active = true;
    it.next_active = kNil;
    if (queue_last_ == kNil) {
        queue_first_ = node;
    } else {
        nodes_[at(queue_last_)].next_active = node;
    }
    queue_last_ = node;
}

int32_t MinCut::next_active() {
    while (queue_first_ != kNil) {
        const int32_t node = queue_first_;
        Node& it = nodes_[at(node)];
        queue_first_ = it.next_active;
        if (queue_first_ == kNil) queue_last_ = kNil;
        it.active = false;
        if (it.tree != Tree::kNone) return node;
    }
    return kNil;
}

int32_t MinCut::grow(int32_t node) {
    const Tree tree = nodes_[at(node)].tree;
    for (int32_t arc = nodes_[at(node)].first; arc != kNil; arc = arcs_[at(arc)].next) {
        const int32_t onward = tree == Tree::kSource ? arc : back(arc);
        if (arcs_[at(onward)].left == 0) continue;
        const int32_t head = arcs_[at(arc)].head;
        Node& other = nodes_[at(head)];
        if (other.tree == Tree::kNone) {
            other.tree = tree;
            other.parent = back(arc);
            other.stamp = nodes_[at(node)].stamp;
            other.distance = nodes_[at(node)].distance + 1;
            activate(head);
        } else if (other.tree != tree) {
            return onward;
        } else if (other.stamp <= nodes_[at(node)].stamp &&
                   other.distance > nodes_[at(node)].distance) {
            other.parent = back(arc);  // a shorter way to the root
            other.stamp = nodes_[at(node)].stamp;
            other.distance = nodes_[at(node)].distance + 1;
        }
    }
    return kNil;
}

void MinCut::make_orphan(int32_t node) {
    nodes_[at(node)].parent = kOrphan;
    orphans_.push_back(node);
}

void MinCut::augment(int32_t meeting) {
    const int32_t source_end = arcs_[at(back(meeting))].head;
    const int32_t sink_end = arcs_[at(meeting)].head;
    int64_t most = arcs_[at(meeting)].left;
    int32_t node = source_end;
    for (int32_t arc = nodes_[at(node)].parent; arc != kTerminal; arc = nodes_[at(node)].parent) {
        most = std::min(most, arcs_[at(back(arc))].left);
        node = arcs_[at(arc)].head;
    }
    most = std::min(most, nodes_[at(node)].terminal);
    node = sink_end;
    for (int32_t arc = nodes_[at(node)].parent; arc != kTerminal; arc = nodes_[at(node)].parent) {
        most = std::min(most, arcs_[at(arc)].left);
        node = arcs_[at(arc)].head;
    }
    most = std::min(most, -nodes_[at(node)].terminal);

    arcs_[at(meeting)].left -= most;
    arcs_[at(back(meeting))].left += most;
    node = source_end;
    for (int32_t arc = nodes_[at(node)].parent; arc != kTerminal;) {
        arcs_[at(arc)].left += most;
        arcs_[at(back(arc))].left -= most;
        const int32_t up = arcs_[at(arc)].head;
        if (arcs_[at(back(arc))].left == 0) make_orphan(node);
        node = up;
        arc = nodes_[at(node)].parent;
    }
    nodes_[at(node)].terminal -= most;
    if (nodes_[at(node)].terminal == 0) make_orphan(node);
    node = sink_end;
    for (int32_t arc = nodes_[at(node)].parent; arc != kTerminal;) {
        arcs_[at(back(arc))].left += most;
        arcs_[at(arc)].left -= most;
        const int32_t up = arcs_[at(arc)].head;
        if (arcs_[at(arc)].left == 0) make_orphan(node);
        node = up;
        arc = nodes_[at(node)].parent;
    }
    nodes_[at(node)].terminal += most;
    if (nodes_[at(node)].terminal == 0) make_orphan(node);
    flow_ += most;
}

// Steps from the node to its root, as far as known; marks the way.
int32_t MinCut::origin_distance(int32_t node, bool& reaches) {
    int32_t steps = 0;
    int32_t walk = node;
    while (true) {
        const Node& it = nodes_[at(walk)];
        if (it.stamp == time_) {
            steps += it.distance;
            break;
        }
        if (it.parent == kTerminal) {
            steps += 1;
            nodes_[at(walk)].stamp = time_;
            nodes_[at(walk)].distance = 1;
            break;
        }
        if (it.parent == kOrphan || it.parent == kNil) {
            reaches = false;
            return 0;
        }
        ++steps;
        walk = arcs_[at(it.parent)].head;
    }
    reaches = true;
    int32_t left = steps;
    for (walk = node; nodes_[at(walk)].stamp != time_;) {
        nodes_[at(walk)].stamp = time_;
        nodes_[at(walk)].distance = left--;
        walk = arcs_[at(nodes_[at(walk)].parent)].head;
    }
    return steps;
}

void MinCut::adopt(int32_t orphan) {
    const Tree tree = nodes_[at(orphan)].tree;
    int32_t best = kNil;
    int32_t best_distance = std::numeric_limits<int32_t>::max();
    for (int32_t arc = nodes_[at(orphan)].first; arc != kNil; arc = arcs_[at(arc)].next) {
        const int32_t inward = tree == Tree::kSource ? back(arc) : arc;
        if (arcs_[at(inward)].left == 0) continue;
        const int32_t head = arcs_[at(arc)].head;
        if (nodes_[at(head)].tree != tree) continue;
        bool reaches = false;
        const int32_t distance = origin_distance(head, reaches);
        if (!reaches || distance >= best_distance) continue;
        best = arc;
        best_distance = distance;
    }
    if (best != kNil) {
        nodes_[at(orphan)].parent = best;
        nodes_[at(orphan)].stamp = time_;
        nodes_[at(orphan)].distance = best_distance + 1;
        return;
    }
    for (int32_t arc = nodes_[at(orphan)].first; arc != kNil; arc = arcs_[at(arc)].next) {
        const int32_t head = arcs_[at(arc)].head;
        Node& other = nodes_[at(head)];
        if (other.tree != tree) continue;
        const int32_t inward = tree == Tree::kSource ? back(arc) : arc;
        if (arcs_[at(inward)].left > 0) activate(head);
        if (other.parent >= 0 && arcs_[at(other.parent)].head == orphan) make_orphan(head);
    }
    nodes_[at(orphan)].tree = Tree::kNone;
    nodes_[at(orphan)].parent = kNil;
}

int64_t MinCut::solve() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
        Node& node = nodes_[i];
        if (node.terminal == 0) continue;
        node.tree = node.terminal > 0 ? Tree::kSource : Tree::kSink;
        node.parent = kTerminal;
        node.distance = 1;
        activate(static_cast<int32_t>(i));
    }
    for (int32_t node = next_active(); node != kNil; node = next_active()) {
        // The node is grown until it meets the other tree no more, or leaves its own.
        while (nodes_[at(node)].tree != Tree::kNone) {
            const int32_t meeting = grow(node);
            ++time_;
            if (meeting == kNil) break;
            augment(meeting);
            while (!orphans_.empty()) {
                const int32_t orphan = orphans_.back();
                orphans_.pop_back();
                adopt(orphan);
            }
        }
    }
    return flow_;
}

bool MinCut::on_source_side(int64_t node) const {
    return nodes_[static_cast<size_t>(node)].tree == Tree::kSource;
}

}  // namespace lora::tools
