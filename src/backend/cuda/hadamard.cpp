// Elementwise products of matrices of low rank, and the gradients of their factors.
#include <algorithm>

#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/hadamard_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr int kStep = 64;

bool on_tensor_cores(const DeviceInfo& d, DType dtype) {
    return dtype != DType::kF32 && d.compute_major >= 8;
}

// Operands can be loaded 16 bytes at a time.
bool is_vector(const NodeContext& c, int64_t first_rank, int64_t second_rank, int64_t cols) {
    return first_rank % 8 == 0 && second_rank % 8 == 0 && cols % 8 == 0 &&
           std::all_of(c.in.begin(), c.in.end(), [](DevicePtr p) { return is_aligned(p); });
}

Launch forward_launch(const NodeContext& c) {
    const Shape& dst = c.output().shape;
    HadamardArgs args;
    args.a1 = c.in_ptr(0);
    args.b1 = c.in_ptr(1);
    args.a2 = c.in_ptr(2);
    args.b2 = c.in_ptr(3);
    args.dst = c.out_ptr();
    args.rows = narrow<int>(dst[0]);
    args.cols = narrow<int>(dst[1]);
    args.rank1 = narrow<int>(c.input(0).shape[1]);
    args.rank2 = narrow<int>(c.input(2).shape[1]);
    args.alpha = static_cast<float>(c.node.attrs.alpha);
    args.wide = dst[1] % 8 == 0 && is_aligned(c.out[0]) ? 1 : 0;
    const char* suffix = suffix_of(c.output().dtype);
    Launch launch;
    launch.file = "hadamard";
    if (on_tensor_cores(c.device, c.output().dtype)) {
        launch.kernel =
            is_vector(c, args.rank1, args.rank2, dst[1]) ? "hadamard_" : "hadamard_elements_";
        launch.grid.x = narrow<uint32_t>(ceil_div(dst[0], kStep) * ceil_div(dst[1], kStep));
        launch.block.x = static_cast<uint32_t>(kHadamardTile.threads());
        launch.shared_bytes = static_cast<uint32_t>(kHadamardTile.shared_bytes());
    } else {
        launch.kernel = "hadamard_simt_";
        launch.grid.x = narrow<uint32_t>(ceil_div(dst.num_elements(), kHadamardSimtThreads));
        launch.block.x = kHadamardSimtThreads;
    }
    launch.kernel += suffix;
    launch.set_args(args);
    return launch;
}

// How the axis that is summed over is cut: a few blocks for each multiprocessor, none of them
// shorter than two steps.
struct Cut {
    int64_t tiles = 0;
    int64_t splits = 1;
    int64_t steps_per_split = 0;
    [[nodiscard]] size_t partial_bytes() const {
        constexpr size_t kTileBytes = sizeof(float) * kHadamardOwn * kStep;
        return splits == 1 ? 0 : static_cast<size_t>(tiles * splits) * kTileBytes;
    }
};
Cut cut_of(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    constexpr int64_t kBlocksPerProcessor = 4;
    constexpr int64_t kLeastSteps = 2;
    const Shape& own = g.value(n.inputs[0]).shape;
    const bool by_rows = !n.attrs.transpose_weight;
    const int64_t rank = g.value(n.inputs[3]).shape[by_rows ? 0 : 1];
    const int64_t steps = ceil_div(own[by_rows ? 1 : 0], kStep);
    Cut cut;
    cut.tiles = ceil_div(own[by_rows ? 0 : 1], kStep) * ceil_div(rank, kHadamardOwn);
    const int64_t wanted =
        std::clamp<int64_t>(kBlocksPerProcessor * d.num_multiprocessors / cut.tiles,
                            1,
                            std::max<int64_t>(1, steps / kLeastSteps));
    cut.steps_per_split = ceil_div(steps, wanted);
    cut.splits = ceil_div(steps, cut.steps_per_split);
    return cut;
}

Launch backward_launch(const NodeContext& c) {
    const Shape& own = c.input(0).shape;
    const bool by_rows = !c.node.attrs.transpose_weight;
    HadamardBackwardArgs args;
    args.d = c.in_ptr(0);
    args.a = c.in_ptr(1);
    args.b = c.in_ptr(2);
    args.partner = c.in_ptr(3);
    args.dst = c.out_ptr<float>();
    args.rows = narrow<int>(own[0]);
    args.cols = narrow<int>(own[1]);
    args.rank = narrow<int>(c.input(1).shape[1]);
    args.own_rank = narrow<int>(c.input(3).shape[by_rows ? 0 : 1]);
    args.accumulate = c.node.attrs.accumulate ? 1 : 0;
    args.alpha = static_cast<float>(c.node.attrs.alpha);
    args.pairs = own[1] % 2 == 0 && c.in[0] % 4 == 0 ? 1 : 0;
    const DType dtype = c.input(0).dtype;
    const std::string side = by_rows ? "rows_" : "columns_";
    Launch launch;
    launch.file = "hadamard";
    if (on_tensor_cores(c.device, dtype)) {
        const Cut cut = cut_of(c.device, c.graph, c.node);
        args.steps_per_split = narrow<int>(cut.steps_per_split);
        args.split.count = narrow<int>(cut.splits);
        if (cut.splits > 1) {
            LORA_CHECK(cut.tiles <= most_split_tiles(c.device), "more tiles than counters");
            args.split.partial = reinterpret_cast<float*>(c.scratch);
            args.split.arrivals = reinterpret_cast<unsigned*>(c.arrivals);
        }
        const bool vector = is_vector(c, args.rank, args.own_rank, own[1]);
        launch.kernel = "hadamard_backward_" + side + (vector ? "" : "elements_");
        launch.grid.x = narrow<uint32_t>(cut.tiles);
        launch.grid.z = narrow<uint32_t>(cut.splits);
        launch.block.x = static_cast<uint32_t>(kHadamardTile.threads());
        launch.shared_bytes = kHadamardBackwardBytes;
    } else {
        launch.kernel = "hadamard_backward_simt_" + side;
        launch.block.x = kHadamardSimtThreads;
        if (by_rows) {
            launch.grid.x = narrow<uint32_t>(own[0]);
        } else {
            launch.grid.x = narrow<uint32_t>(ceil_div(own[1], kHadamardSimtThreads));
            launch.grid.y = narrow<uint32_t>(ceil_div(args.own_rank, kHadamardSimtOwn));
        }
    }
    launch.kernel += suffix_of(dtype);
    launch.set_args(args);
    return launch;
}

}  // namespace

size_t hadamard_scratch(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    if (n.op == OpKind::kHadamard || !on_tensor_cores(d, g.value(n.inputs[0]).dtype)) return 0;
    return cut_of(d, g, n).partial_bytes();
}

Launches hadamard_launches(const NodeContext& c) {
    return {c.node.op == OpKind::kHadamard ? forward_launch(c) : backward_launch(c)};
}

}  // namespace lora::cuda
