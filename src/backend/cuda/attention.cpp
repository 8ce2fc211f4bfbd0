// Attention: tensor core kernels where the head size has them, plain ones elsewhere. Backward is
// dq, then dkv, split over queries where keys are too few to fill the card (cross-attention).
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "backend/cuda/internal/device.h"
#include "backend/cuda/kernels/attention_args.h"
#include "base/check.h"
#include "base/error.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr int kSumThreads = 256;
constexpr int kSumBlocks = 1024;
// Fewer steps than this are not worth the sums of a split.
constexpr int kMinStepsPerSplit = 4;

AttentionArgs shape_of(const ir::Graph& g, const ir::Node& n) {
    const size_t first = n.op == OpKind::kAttention ? 0 : 1;
    const Shape& q = g.value(n.inputs[first]).shape;
    const Shape& k = g.value(n.inputs[first + 1]).shape;
    AttentionArgs args;
    args.num_samples = narrow<int>(q[0]);
    args.num_queries = narrow<int>(q[1]);
    args.num_keys = narrow<int>(k[1]);
    args.heads = narrow<int>(n.attrs.heads);
    args.head_size = narrow<int>(q[2] / n.attrs.heads);
    args.causal = n.attrs.causal ? 1 : 0;
    args.scale = static_cast<float>(n.attrs.alpha);
    return args;
}

int64_t num_heads(const AttentionArgs& a) { return static_cast<int64_t>(a.num_samples) * a.heads; }

// Tensor core kernels find the highest score before they scale, so the scale must not be negative.
bool allows_tensor_cores(const DeviceInfo& d, DType dtype, const AttentionArgs& a) {
    return d.compute() >= 80 && (dtype == DType::kBF16 || dtype == DType::kF16) && a.scale > 0;
}

bool has_own_kernels(int head_size) {
    return std::find(std::begin(kAttentionHeadSizes), std::end(kAttentionHeadSizes), head_size) !=
           std::end(kAttentionHeadSizes);
}

// Parts of the queries that dkv sums apart, so that its blocks fill the card.
void split_queries(const DeviceInfo& d, AttentionArgs& a) {
    const AttentionTile tile = attention_dkv_tile(a.head_size);
    const int64_t blocks = ceil_div(a.num_keys, tile.rows()) * num_heads(a);
    const int64_t room = static_cast<int64_t>(d.num_multiprocessors) * tile.blocks;
    const int64_t steps = ceil_div(a.num_queries, tile.columns);
    const int64_t splits = std::max<int64_t>(1, std::min(room / blocks, steps / kMinStepsPerSplit));
    const int64_t steps_per_split = ceil_div(steps, splits);
    a.queries_per_split = narrow<int>(steps_per_split * tile.columns);
    a.splits = narrow<int>(ceil_div(steps, steps_per_split));
}

struct BackwardScratch {
    AttentionRow* rows = nullptr;
    float* partial = nullptr;
    size_t size_bytes = 0;
};

BackwardScratch backward_scratch(const AttentionArgs& a, DevicePtr base) {
    ScratchLayout layout(base);
    BackwardScratch result;
    result.rows = layout.take<AttentionRow>(num_heads(a) * a.num_queries);
    if (a.splits > 1) {
        result.partial = layout.take<float>(2 * a.splits * num_heads(a) * a.num_keys * a.head_size);
    }
    result.size_bytes = layout.used();
    return result;
}

Launch make_launch(std::string file, std::string kernel, Dim3 grid, int threads) {
    Launch launch;
    launch.file = std::move(file);
    launch.kernel = std::move(kernel);
    launch.grid = grid;
    launch.block = {static_cast<uint32_t>(threads), 1, 1};
    return launch;
}

Dim3 grid_of(const AttentionArgs& a, int length, int rows, int splits = 1) {
    return {narrow<uint32_t>(ceil_div(length, rows)),
            narrow<uint32_t>(num_heads(a)),
            static_cast<uint32_t>(splits)};
}

Launch tile_launch(const char* name,
                   const AttentionArgs& a,
                   const AttentionTile& tile,
                   const char* suffix) {
    const std::string size = std::to_string(a.head_size);
    const bool is_dkv = std::string_view(name) == "dkv";
    Launch launch = make_launch(
        "attention_" + size,
        std::string("attention_") + name + "_" + size + "_" + suffix,
        grid_of(a, is_dkv ? a.num_keys : a.num_queries, tile.rows(), is_dkv ? a.splits : 1),
        tile.threads());
    launch.shared_bytes = static_cast<uint32_t>(attention_shared_bytes(tile, a.head_size, is_dkv));
    launch.set_args(a);
    return launch;
}

Launch simt_launch(const char* name, const AttentionArgs& a, const char* suffix) {
    if (a.head_size > kSimtLimit) {
        throw Error(
            ErrorCode::kDevice,
            "the cuda backend has no attention for heads of size " + std::to_string(a.head_size));
    }
    const int limit = a.head_size <= kSimtSmallLimit ? kSimtSmallLimit : kSimtLimit;
    const bool is_dkv = std::string_view(name) == "dkv";
    const std::string file = std::string("attention_simt_") + name;
    Launch launch = make_launch(
        file,
        file + "_" + std::to_string(limit) + "_" + suffix,
        grid_of(a, is_dkv ? a.num_keys : a.num_queries, kSimtSide * attention_simt_micro(limit)),
        kSimtSide * kSimtSide);
    launch.set_args(a);
    return launch;
}

// Tensor core kernels move 16 bytes at once.
bool has_aligned_operands(const NodeContext& c) {
    const auto aligned = [](DevicePtr address) { return is_aligned(address); };
    return std::all_of(c.in.begin(), c.in.end(), aligned) &&
           std::all_of(c.out.begin(), c.out.end(), aligned);
}

Launches forward_launches(const NodeContext& c) {
    AttentionArgs a = shape_of(c.graph, c.node);
    a.q = c.in_ptr(0);
    a.k = c.in_ptr(1);
    a.v = c.in_ptr(2);
    a.o = c.out_ptr(0);
    a.lse = c.out_ptr<float>(1);
    const DType dtype = c.input(0).dtype;
    const char* suffix = suffix_of(dtype);
    const bool tensor_cores = allows_tensor_cores(c.device, dtype, a) && has_aligned_operands(c);
    if (tensor_cores && has_own_kernels(a.head_size)) {
        return {tile_launch("forward", a, attention_forward_tile(a.head_size), suffix)};
    }
    if (tensor_cores && a.head_size % 8 == 0 && a.head_size <= kWideMaxHeadSize) {
        Launch launch = make_launch("attention_wide",
                                    std::string("attention_wide_") + suffix,
                                    grid_of(a, a.num_queries, kWideRows),
                                    32 * kWideWarps);
        launch.shared_bytes = static_cast<uint32_t>(attention_wide_shared_bytes(a.head_size));
        launch.set_args(a);
        return {launch};
    }
    return {simt_launch("forward", a, suffix)};
}

Launches backward_launches(const NodeContext& c) {
    AttentionArgs a = shape_of(c.graph, c.node);
    a.d_o = c.in_ptr(0);
    a.q = c.in_ptr(1);
    a.k = c.in_ptr(2);
    a.v = c.in_ptr(3);
    a.o = c.in_ptr(4);
    a.lse = c.in_ptr<float>(5);
    a.dq = c.out_ptr(0);
    a.dk = c.out_ptr(1);
    a.dv = c.out_ptr(2);
    const DType dtype = c.input(1).dtype;
    const char* suffix = suffix_of(dtype);
    const bool tensor_cores = allows_tensor_cores(c.device, dtype, a) &&
                              has_own_kernels(a.head_size) && has_aligned_operands(c);
    if (tensor_cores) split_queries(c.device, a);
    const BackwardScratch scratch = backward_scratch(a, c.scratch);
    a.rows = scratch.rows;
    a.partial = scratch.partial;
    if (!tensor_cores) {
        return {simt_launch("dq", a, suffix), simt_launch("dkv", a, suffix)};
    }
    Launches launches = {tile_launch("dq", a, attention_dq_tile(a.head_size), suffix),
                         tile_launch("dkv", a, attention_dkv_tile(a.head_size), suffix)};
    if (a.splits > 1) {
        const int64_t vectors = num_heads(a) * a.num_keys * a.head_size / 4;
        const int64_t blocks = std::min<int64_t>(ceil_div(vectors, kSumThreads), kSumBlocks);
        launches.push_back(make_launch("attention_sum",
                                       std::string("attention_sum_") + suffix,
                                       {narrow<uint32_t>(blocks), 2, 1},
                                       kSumThreads));
        launches.back().set_args(a);
    }
    return launches;
}

}  // namespace

size_t attention_scratch(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    if (n.op == OpKind::kAttention) return 0;
    AttentionArgs a = shape_of(g, n);
    if (allows_tensor_cores(d, g.value(n.inputs[1]).dtype, a) && has_own_kernels(a.head_size)) {
        split_queries(d, a);
    }
    return backward_scratch(a, 0).size_bytes;
}

Launches attention_launches(const NodeContext& c) {
    return c.node.op == OpKind::kAttention ? forward_launches(c) : backward_launches(c);
}

}  // namespace lora::cuda
