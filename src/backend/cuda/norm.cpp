// Group norm in two launches (sums of slabs, then elements), layer norm in one.
#include <algorithm>

#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/norm_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr const char* kLayerFile = "layer_norm";
constexpr int kChunkGroups = 8;        // a warp each in the sums of a block
constexpr int64_t kMinRowBytes = 256;  // of neighbouring channels, so that reads are long
constexpr int64_t kBlocksPerProcessor = 2;

bool is_group(const ir::Node& n) {
    return n.op == OpKind::kGroupNorm || n.op == OpKind::kGroupNormBackward;
}
bool is_backward(const ir::Node& n) {
    return n.op == OpKind::kGroupNormBackward || n.op == OpKind::kLayerNormBackward;
}

int64_t images_of(const ir::Graph& g, const ir::Node& n) { return g.value(n.inputs[0]).shape[0]; }

// Chunks of whole groups start at multiples of 8 channels, so that their vectors are aligned.
int chunk_groups_of(int groups, int group_size, int64_t element_bytes) {
    int chunk = kChunkGroups;
    while (chunk < groups && chunk * group_size * element_bytes < kMinRowBytes) chunk *= 2;
    return std::min(chunk, groups);
}

GroupNormArgs group_shape(const DeviceInfo& device, const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = g.value(n.inputs[0]);
    const auto bytes = static_cast<int64_t>(dtype_bytes(x.dtype));
    const int size = static_cast<int>(elements_per_piece(x.dtype));
    GroupNormArgs args;
    args.pixels = x.shape[2] * x.shape[3];
    args.channels = narrow<int>(x.shape[1]);
    args.groups = narrow<int>(n.attrs.groups);
    args.group_size = args.channels / args.groups;
    args.chunk_groups = chunk_groups_of(args.groups, args.group_size, bytes);
    args.columns = (args.chunk_groups * args.group_size + size - 1) / size;
    args.rows = std::max(1, kGroupNormThreads / args.columns);
    args.rows = static_cast<int>(std::min<int64_t>(args.rows, std::max<int64_t>(1, args.pixels)));
    args.plane = static_cast<int>(round_up(int64_t{args.rows} * args.columns, 32)) + 32 / size;
    const int64_t others =
        std::max<int64_t>(1, ceil_div(args.groups, args.chunk_groups) * x.shape[0]);
    // Not one more than run side by side: the last would run alone.
    const int64_t wanted =
        std::max<int64_t>(1, kBlocksPerProcessor * device.num_multiprocessors / others);
    args.slab_pixels = std::max<int64_t>(1, round_up(ceil_div(args.pixels, wanted), args.rows));
    args.slabs = narrow<int>(std::max<int64_t>(1, ceil_div(args.pixels, args.slab_pixels)));
    return args;
}

uint32_t group_threads(const GroupNormArgs& args) {
    const int64_t used = round_up(int64_t{args.rows} * args.columns, 32);
    return static_cast<uint32_t>(std::min<int64_t>(used, kGroupNormThreads));
}

float* take_partial(ScratchLayout& layout, const GroupNormArgs& args, int64_t images) {
    return layout.take<float>(images * args.groups * args.slabs * 2);
}

Launches group_launches(const NodeContext& c) {
    const DType dtype = c.output().dtype;
    const bool backward = is_backward(c.node);
    const int first = backward ? 1 : 0;
    LORA_CHECK(c.input(first + 1).dtype == dtype && c.input(first + 2).dtype == dtype,
               "gamma or beta differs from x in type");
    GroupNormArgs args = group_shape(c.device, c.graph, c.node);
    args.dy = backward ? c.in_ptr(0) : nullptr;
    args.x = c.in_ptr(first);
    args.gamma = c.in_ptr(first + 1);
    args.beta = c.in_ptr(first + 2);
    args.stats = backward ? c.in_ptr<float>(4) : c.out_ptr<float>(1);
    args.addend = backward && c.has_input(5) ? c.in_ptr(5) : nullptr;
    args.dst = c.out_ptr();
    args.eps = static_cast<float>(c.node.attrs.eps);
    const ir::Activation activation = c.node.attrs.activation;
    LORA_CHECK(activation == ir::Activation::kNone || activation == ir::Activation::kSilu,
               "group norm is fused with silu only");
    args.silu = activation == ir::Activation::kSilu ? 1 : 0;
    const bool aligned =
        all_aligned({args.dy, args.x, args.gamma, args.beta, args.addend, args.dst});
    const bool fits = args.channels % elements_per_piece(dtype) == 0;
    args.aligned = aligned && fits ? 1 : 0;
    const int64_t images = images_of(c.graph, c.node);
    ScratchLayout layout(c.scratch);
    args.partial = take_partial(layout, args, images);

    const Dim3 grid{narrow<uint32_t>(ceil_div(args.groups, args.chunk_groups)),
                    narrow<uint32_t>(args.slabs),
                    narrow<uint32_t>(images)};
    const auto sums = static_cast<uint32_t>(2 * elements_per_piece(dtype) * args.plane);
    const auto pairs = static_cast<uint32_t>(2 * args.chunk_groups);
    const char* first_name = backward ? "group_norm_backward_sums" : "group_norm_stats";
    const char* second_name = backward ? "group_norm_backward" : "group_norm";
    const char* file = backward ? "group_norm_backward" : "group_norm";
    Launches launches;
    for (const char* name : {first_name, second_name}) {
        launches.push_back(
            make_launch(file, kernel_name(name, dtype), grid, group_threads(args), args));
    }
    constexpr auto kFloat = static_cast<uint32_t>(sizeof(float));
    launches[0].shared_bytes = kFloat * (backward ? pairs + sums : sums);
    launches[1].shared_bytes = kFloat * (backward ? 2 * pairs : pairs);
    return launches;
}

Launch layer_launch(const NodeContext& c) {
    const ir::Value& x = c.input(0);
    const bool backward = is_backward(c.node);
    const int first = backward ? 1 : 0;
    LORA_CHECK(c.input(first + 1).dtype == x.dtype, "gamma differs from x in type");
    LayerNormArgs args;
    args.size = x.shape[-1];
    args.rows = args.size == 0 ? 0 : x.shape.num_elements() / args.size;
    args.dy = backward ? c.in_ptr(0) : nullptr;
    args.x = c.in_ptr(first);
    args.gamma = c.in_ptr(first + 1);
    args.beta = backward ? nullptr : c.in_ptr(2);
    args.stats = backward ? c.in_ptr<float>(3) : c.out_ptr<float>(1);
    args.addend = backward && c.has_input(4) ? c.in_ptr(4) : nullptr;
    args.dst = c.out_ptr();
    args.eps = static_cast<float>(c.node.attrs.eps);
    const int64_t per_piece = elements_per_piece(x.dtype);
    const bool held = args.size % per_piece == 0 && args.size <= 32 * kLayerNormLaneElements &&
                      all_aligned({args.dy, args.x, args.gamma, args.beta, args.addend, args.dst});
    args.vectors = held ? static_cast<int>(args.size / per_piece) : 0;
    const int64_t blocks = std::max<int64_t>(1, ceil_div(args.rows, kLayerNormWarps));
    return make_launch(kLayerFile,
                       kernel_name(backward ? "layer_norm_backward" : "layer_norm", x.dtype),
                       {narrow<uint32_t>(blocks), 1, 1},
                       32 * kLayerNormWarps,
                       args);
}

bool is_dora(const ir::Node& n) {
    return n.op == ir::OpKind::kDoraScale || n.op == ir::OpKind::kDoraScaleBackward;
}

Launch dora_launch(const NodeContext& c) {
    const bool backward = c.node.op == ir::OpKind::kDoraScaleBackward;
    const ir::Value& v = c.input(backward ? 1 : 0);
    DoraScaleArgs args;
    args.v = c.in_ptr(backward ? 1 : 0);
    args.m = c.in_ptr<const float>(backward ? 2 : 1);
    args.length = v.shape.num_elements() / v.shape[0];
    args.eps = c.node.attrs.eps;
    if (backward) {
        args.dh = c.in_ptr<const float>(0);
        args.norms = c.in_ptr<float>(3);
        args.dv = c.out_ptr(0);
        args.dm = c.out_ptr<float>(1);
    } else {
        args.h = c.out_ptr<float>(0);
        args.norms = c.out_ptr<float>(1);
    }
    return make_launch("dora_scale",
                       kernel_name(backward ? "dora_scale_backward" : "dora_scale", v.dtype),
                       {narrow<uint32_t>(v.shape[0]), 1, 1},
                       kPieceThreads,
                       args);
}

}  // namespace

size_t norm_scratch(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    if (!is_group(n)) return 0;
    ScratchLayout layout;
    take_partial(layout, group_shape(d, g, n), images_of(g, n));
    return layout.used();
}

Launches norm_launches(const NodeContext& c) {
    if (is_group(c.node)) return group_launches(c);
    if (is_dora(c.node)) return {dora_launch(c)};
    return {layer_launch(c)};
}

}  // namespace lora::cuda
