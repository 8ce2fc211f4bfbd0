// Elementwise products of matrices of low rank, and the gradients of their factors.
#include <algorithm>
#include <cstring>

#include "backend/cuda/internal/gradient_group.h"
#include "backend/cuda/kernels/hadamard_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr int kStep = 64;

bool on_tensor_cores(const DeviceInfo& d, DType dtype) {
    return dtype != DType::kF32 && d.compute_major >= 8;
}

int slices_of(int64_t rank) { return narrow<int>(ceil_div(rank, 16)); }

// Of steps in shared memory; 0 where two of them have no room.
int stages_of(const DeviceInfo& d, const HadamardRoom& room) {
    int stages = kHadamardStages;
    while (stages >= 2 && static_cast<size_t>(room.bytes(stages)) > d.shared_bytes_per_block) {
        --stages;
    }
    return stages >= 2 ? stages : 0;
}

HadamardOrder order_of(const Shape& whole) {
    HadamardOrder order;
    if (whole.num_axes() == 4) order.taps = narrow<int>(whole[2] * whole[3]);
    order.channels = narrow<int>(whole.num_elements() / whole[0] / order.taps);
    return order;
}

// a [rows, rank] and b [rank, cols], inputs of the node.
HadamardFactor left_factor(const NodeContext& c, int input) {
    const int rank = narrow<int>(c.input(input).shape[1]);
    const bool aligned = is_aligned(c.in_ptr(input));
    return {
        c.in_ptr(input), rank, aligned && rank % 8 == 0 ? 1 : 0, aligned && rank % 4 == 0 ? 1 : 0};
}
HadamardFactor right_factor(const NodeContext& c, int input, const HadamardOrder& order) {
    const Shape& shape = c.input(input).shape;
    const bool vector = order.taps == 1 && shape[1] % 8 == 0 && is_aligned(c.in_ptr(input));
    return {c.in_ptr(input), narrow<int>(shape[0]), vector ? 1 : 0};
}

int64_t most_blocks(const DeviceInfo& d) {
    constexpr int64_t kBlocksPerProcessor = 4;
    return kBlocksPerProcessor * d.num_multiprocessors;
}

Launch forward_launch(const NodeContext& c) {
    const Shape& dst = c.output().shape;
    HadamardArgs args;
    args.order = order_of(dst);
    args.a1 = left_factor(c, 0);
    args.b1 = right_factor(c, 1, args.order);
    args.a2 = left_factor(c, 2);
    args.b2 = right_factor(c, 3, args.order);
    if (c.has_input(4)) args.addend = c.in_ptr(4);
    args.dst = c.out_ptr();
    args.rows = narrow<int>(dst[0]);
    args.cols = narrow<int>(dst.num_elements() / dst[0]);
    args.alpha = static_cast<float>(c.node.attrs.alpha);
    args.wide =
        args.order.channels % 8 == 0 && is_aligned(args.dst) && is_aligned(args.addend) ? 1 : 0;
    args.steps = args.order.steps();
    args.slices = slices_of(std::max(args.a1.rank, args.a2.rank));
    const HadamardRoom room = hadamard_room(args.slices);
    args.stages = stages_of(c.device, room);
    Launch launch;
    launch.file = "hadamard";
    if (on_tensor_cores(c.device, c.output().dtype) && args.stages > 0) {
        const int64_t tiles = ceil_div(args.rows, kStep);
        const int64_t splits = std::clamp<int64_t>(most_blocks(c.device) / tiles, 1, args.steps);
        args.steps_per_split = narrow<int>(ceil_div(args.steps, splits));
        launch.kernel = "hadamard_";
        launch.grid.x = narrow<uint32_t>(tiles);
        launch.grid.z = narrow<uint32_t>(ceil_div(args.steps, args.steps_per_split));
        launch.block.x = kHadamardThreads;
        launch.shared_bytes = static_cast<uint32_t>(room.bytes(args.stages));
    } else {
        launch.file = "hadamard_simt";
        launch.kernel = "hadamard_simt_";
        launch.grid.x = narrow<uint32_t>(ceil_div(dst.num_elements(), kHadamardSimtThreads));
        launch.block.x = kHadamardSimtThreads;
    }
    launch.kernel += suffix_of(c.output().dtype);
    launch.set_args(args);
    return launch;
}

// Of a group: which kernel, by the ranks of a block.
int own_ranks(int64_t own_rank) { return own_rank <= 16 ? 16 : 32; }

HadamardBackwardGroup group_of(const Launch& launch) {
    HadamardBackwardGroup group;
    LORA_CHECK(launch.args.size() == sizeof(group), "not a group of factors' gradients");
    std::memcpy(&group, launch.args.data(), sizeof(group));
    return group;
}

int64_t num_tiles(const HadamardBackwardArgs& p) {
    const int64_t along = p.by_rows != 0 ? ceil_div(p.rows, kStep) : p.order.steps();
    return along * ceil_div(p.own_rank, own_ranks(p.own_rank));
}

// The steps of a block: all blocks together are about two for each place on the card, and what is
// split has room for its partial sums.
int steps_of_block(const DeviceInfo& d, const HadamardBackwardGroup& group) {
    constexpr int64_t kLeastSteps = 2;
    const int64_t most = 2 * most_blocks(d);
    int64_t total = 0;
    for (int i = 0; i < group.count; ++i) {
        total += num_tiles(group.problem[i]) * group.problem[i].steps;
    }
    int64_t steps = std::max(kLeastSteps, ceil_div(total, most));
    for (;; steps += (steps + 7) / 8) {
        int64_t split_blocks = 0;
        for (int i = 0; i < group.count; ++i) {
            const HadamardBackwardArgs& p = group.problem[i];
            if (p.steps > steps) split_blocks += num_tiles(p) * ceil_div(p.steps, steps);
        }
        if (split_blocks <= most) return narrow<int>(steps);
    }
}

Launch backward_launch(const NodeContext& c) {
    HadamardBackwardArgs args;
    const Shape& whole = c.input(0).shape;
    const bool by_rows = !c.node.attrs.transpose_weight;
    args.order = order_of(whole);
    args.d = c.in_ptr(0);
    args.a = left_factor(c, 1);
    args.b = right_factor(c, 2, args.order);
    args.partner = by_rows ? right_factor(c, 3, args.order) : left_factor(c, 3);
    args.dst = c.out_ptr<float>();
    args.rows = narrow<int>(whole[0]);
    args.cols = narrow<int>(whole.num_elements() / whole[0]);
    args.own_rank = narrow<int>(c.input(3).shape[by_rows ? 0 : 1]);
    args.steps = by_rows ? args.order.steps() : narrow<int>(ceil_div(args.rows, kStep));
    args.by_rows = by_rows ? 1 : 0;
    args.wide = args.order.channels % 8 == 0 && is_aligned(args.d) ? 1 : 0;
    args.accumulate = c.node.attrs.accumulate ? 1 : 0;
    args.alpha = static_cast<float>(c.node.attrs.alpha);
    args.slices = slices_of(args.a.rank);
    const int own = own_ranks(args.own_rank);
    const HadamardRoom room = hadamard_backward_room(args.slices, own);
    args.stages = stages_of(c.device, room);
    const DType dtype = c.input(0).dtype;
    Launch launch;
    launch.file = "hadamard";
    if (on_tensor_cores(c.device, dtype) && args.stages > 0) {
        launch.kernel = "hadamard_backward_" + std::to_string(own) + "_" + suffix_of(dtype);
        launch.block.x = kHadamardThreads;
        launch.shared_bytes = static_cast<uint32_t>(room.bytes(args.stages));
        HadamardBackwardGroup group;
        group.count = 1;
        group.problem[0] = args;
        launch.set_args(group);
        return launch;
    }
    launch.file = "hadamard_simt";
    launch.kernel = std::string("hadamard_backward_simt_") + (by_rows ? "rows_" : "columns_") +
                    suffix_of(dtype);
    launch.block.x = kHadamardSimtThreads;
    if (by_rows) {
        launch.grid.x = static_cast<uint32_t>(args.rows);
    } else {
        launch.grid.x = narrow<uint32_t>(ceil_div(args.cols, kHadamardSimtThreads));
        launch.grid.y = narrow<uint32_t>(ceil_div(args.own_rank, kHadamardSimtOwn));
    }
    launch.set_args(args);
    return launch;
}

}  // namespace

bool is_factor_group(const Launch& launch) {
    return launch.file == "hadamard" && launch.args.size() == sizeof(HadamardBackwardGroup);
}

bool join_factors(Launch& launch, const Launch& other) {
    if (launch.kernel != other.kernel) return false;
    HadamardBackwardGroup group = group_of(launch);
    const HadamardBackwardGroup added = group_of(other);
    if (group.count + added.count > kMostHadamards) return false;
    std::copy_n(added.problem, added.count, group.problem + group.count);
    group.count += added.count;
    launch.shared_bytes = std::max(launch.shared_bytes, other.shared_bytes);
    launch.set_args(group);
    return true;
}

void finish_factors(const DeviceInfo& d, DevicePtr workspace, Launch& launch) {
    HadamardBackwardGroup group = group_of(launch);
    const int steps = steps_of_block(d, group);
    SplitRoom room(d, workspace);
    int64_t blocks = 0;
    for (int i = 0; i < group.count; ++i) {
        HadamardBackwardArgs& p = group.problem[i];
        const int64_t tiles = num_tiles(p);
        p.steps_per_split = steps;
        p.split.count = narrow<int>(ceil_div(p.steps, steps));
        const int64_t elements = int64_t{kStep} * own_ranks(p.own_rank);
        room.take(tiles, sizeof(float) * static_cast<size_t>(elements), p.split);
        group.first_block[i] = narrow<int>(blocks);
        blocks += tiles * p.split.count;
    }
    group.first_block[group.count] = narrow<int>(blocks);
    launch.grid = {narrow<uint32_t>(blocks), 1, 1};
    launch.set_args(group);
}

Launches hadamard_launches(const NodeContext& c) {
    return {c.node.op == OpKind::kHadamard ? forward_launch(c) : backward_launch(c)};
}

}  // namespace lora::cuda
