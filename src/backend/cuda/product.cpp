// Linear layers and convolutions, forward and backward: which product of kernels/product_args.h a
// node is, and its launches. Which kernel computes it: product_tiles.cpp.
#include <algorithm>

#include "backend/cuda/internal/gradient_group.h"
#include "backend/cuda/internal/launch.h"
#include "backend/cuda/internal/products.h"
#include "backend/cuda/internal/tensor_maps.h"
#include "backend/cuda/internal/weight.h"
#include "backend/cuda/kernels/movement_args.h"
#include "backend/cuda/kernels/product_args.h"
#include "backend/cuda/kernels/weight_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

bool is_gradient(const ir::Node& n) {
    return n.op == OpKind::kLinearBackwardWeight || n.op == OpKind::kConv2dBackwardWeight;
}
bool is_multiple_of_8(int64_t n) { return n % 8 == 0; }

// What a node is, without addresses.
struct Form {
    ProductShape shape;
    ProductArgs args;
    WeightGradientArgs gradient;
    int bias_slot = -1;
    int addend_slot = -1;
    int64_t reordered =
        0;  // elements of a filter that lies [O, I, taps] and is wanted [O, taps, I]
};

const ir::Value& input(const ir::Graph& g, const ir::Node& n, size_t i) {
    return g.value(n.inputs[i]);
}

void set_slots(const ir::Graph& g, const ir::Node& n, int bias, int addend, Form& f) {
    const auto present = [&](int slot) {
        return slot >= 0 && n.inputs[static_cast<size_t>(slot)].valid();
    };
    if (present(bias)) {
        f.bias_slot = bias;
        LORA_CHECK(input(g, n, static_cast<size_t>(bias)).dtype == f.shape.dtype,
                   "a bias of another type");
    }
    if (present(addend)) f.addend_slot = addend;
}

void set_sizes(int64_t m, int64_t n, int64_t k, Form& f) {
    f.shape.m = m;
    f.shape.n = n;
    f.shape.k = k;
    f.args.m = narrow<int>(m);
    f.args.n = f.args.ldd = narrow<int>(n);
    f.args.k = f.args.lda = f.args.b_tap_k = narrow<int>(k);
    f.shape.wide = is_multiple_of_8(n);
}

// B [k, n] as w [n, k] or w [k, n], A plain.
void set_plain(bool depth_contiguous, Form& f) {
    f.shape.kind = depth_contiguous ? ProductKind::kPlainNk : ProductKind::kPlainKn;
    f.args.b_stride_k = depth_contiguous ? 1 : f.shape.n;
    f.args.b_stride_n = depth_contiguous ? f.shape.k : 1;
    f.shape.vector =
        is_multiple_of_8(f.shape.k) && (depth_contiguous || is_multiple_of_8(f.shape.n));
}

Form linear_form(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    const ir::Value& x = input(g, n, 0);
    const ir::Value& w = input(g, n, 1);
    const int in_axis = n.attrs.transpose_weight ? 0 : 1;
    Form f;
    f.shape.dtype = x.dtype;
    const int64_t in = w.shape[in_axis];
    set_sizes(x.shape.num_elements() / in, w.shape[1 - in_axis], in, f);
    set_plain(!n.attrs.transpose_weight, f);
    set_slots(g, n, 2, 3, f);
    if (n.inputs[4].valid()) f.shape.k2 = input(g, n, 4).shape[-1];
    if (f.shape.vector && f.shape.wide && mid_source(d, g, n) != nullptr) {
        f.shape.kind = n.attrs.transpose_weight ? ProductKind::kLoraKn : ProductKind::kLoraNk;
    }
    return f;
}

// The gathered image `from`, seen from the pixels of `to`.
void set_gather(const ir::Value& from,
                const ir::Value& to,
                const ir::Value& w,
                const ir::Attributes& attrs,
                Form& f) {
    ProductArgs& a = f.args;
    f.shape.channels = from.shape[1];
    f.shape.width = from.shape[3];
    f.shape.stride = attrs.stride;
    a.channels = narrow<int>(from.shape[1]);
    a.height = narrow<int>(from.shape[2]);
    a.width = narrow<int>(from.shape[3]);
    a.out_height = narrow<int>(to.shape[2]);
    a.out_width = narrow<int>(to.shape[3]);
    a.kernel_height = narrow<int>(w.shape[2]);
    a.kernel_width = narrow<int>(w.shape[3]);
    a.stride = narrow<int>(attrs.stride);
    a.pad_top = narrow<int>(attrs.pad[0]);
    a.pad_left = narrow<int>(attrs.pad[1]);
    static_cast<void>(narrow<int>(from.shape[2] * from.shape[3]));  // pixels are counted in int
}

// The input gradient of a convolution of stride 2, pixels by parity: kernels/gemm_part.cuh.
void set_parity(int64_t images, Form& f) {
    const ProductArgs& a = f.args;
    f.shape.kind = ProductKind::kParityKn;
    f.shape.m = images * ceil_div(a.out_height, 2) * ceil_div(a.out_width, 2);
    f.shape.k = ceil_div(a.kernel_height, 2) * ceil_div(a.kernel_width, 2) * a.channels;
}

Form conv_form(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    const bool forward = n.op == OpKind::kConv2d;
    const ir::Value& from = input(g, n, 0);
    const ir::Value& w = input(g, n, 1);
    const ir::Value& to = g.value(n.outputs[0]);
    const int64_t taps = w.shape[2] * w.shape[3];
    const int64_t out = w.shape[0];
    const int64_t in = w.shape[1];
    const int64_t pixels = to.shape[0] * to.shape[2] * to.shape[3];
    Form f;
    f.shape.dtype = from.dtype;
    set_sizes(pixels, forward ? out : in, taps * from.shape[1], f);
    const ir::Attributes& attrs = n.attrs;
    const bool pointwise = taps == 1 && attrs.stride == 1 && from.shape[2] == to.shape[2] &&
                           from.shape[3] == to.shape[3] && attrs.pad[0] == 0 && attrs.pad[1] == 0;
    if (pointwise) {
        set_plain(forward, f);
    } else {
        f.shape.kind = forward ? ProductKind::kForwardNk : ProductKind::kBackwardKn;
        set_gather(from, to, w, attrs, f);
        f.shape.vector =
            is_multiple_of_8(from.shape[1]) && (forward || is_multiple_of_8(f.shape.n));
        if (forward) {
            f.args.b_stride_k = 1;
            f.args.b_stride_n = f.shape.k;
        } else {
            f.args.b_tap_k = narrow<int>(out);
            f.args.b_tap_stride = in;
            f.args.b_stride_k = taps * in;
            f.args.b_stride_n = 1;
            const bool on_tensor_cores = f.shape.dtype != DType::kF32 && d.compute_major >= 8;
            if (attrs.stride == 2 && f.shape.vector && on_tensor_cores) {
                set_parity(to.shape[0], f);
            }
        }
    }
    const ir::Value& filter = g.value(ir::storage_of(g, n.inputs[1]));
    const bool lies_so = w.layout == ir::Layout::kChannelsLast ||
                         filter.kind == ir::ValueKind::kWeight || is_unpacked_filter(g, filter);
    if (taps > 1 && !lies_so) f.reordered = w.shape.num_elements();
    set_slots(g, n, forward ? 2 : -1, forward ? 3 : 2, f);
    return f;
}

Form gradient_form(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& dy = input(g, n, 0);
    const ir::Value& x = input(g, n, 1);
    const bool conv = n.op == OpKind::kConv2dBackwardWeight;
    const ir::Attributes& attrs = n.attrs;
    const int64_t out = dy.shape[conv ? 1 : -1];
    const int64_t in = x.shape[conv ? 1 : -1];
    const int64_t points = dy.shape.num_elements() / out;
    const int64_t taps = conv ? attrs.kernel[0] * attrs.kernel[1] : 1;
    Form f;
    f.shape.dtype = dy.dtype;
    set_sizes(out, taps * in, points, f);
    f.shape.vector = is_multiple_of_8(out) && is_multiple_of_8(in);
    f.shape.wide = false;
    WeightGradientArgs& a = f.gradient;
    a.out = narrow<int>(out);
    a.in = narrow<int>(in);
    a.taps = narrow<int>(taps);
    a.points = narrow<int>(points);
    a.accumulate = attrs.accumulate ? 1 : 0;
    a.half = g.value(n.outputs[0]).dtype == DType::kF32 ? 0 : 1;
    a.by_taps = attrs.layout == ir::Layout::kChannelsLast ? 1 : 0;
    a.alpha = static_cast<float>(attrs.alpha);
    a.width = a.out_width = a.points;
    f.shape.kind = ProductKind::kGradientPlain;
    const bool pointwise = taps == 1 && attrs.stride == 1 && attrs.pad[0] == 0 &&
                           attrs.pad[1] == 0 && x.shape.num_elements() / in == points;
    if (!conv || pointwise) return f;
    f.shape.kind = ProductKind::kGradientPatches;
    f.shape.channels = in;
    f.shape.width = x.shape[3];
    f.shape.stride = attrs.stride;
    a.height = narrow<int>(x.shape[2]);
    a.width = narrow<int>(x.shape[3]);
    a.out_height = narrow<int>(dy.shape[2]);
    a.out_width = narrow<int>(dy.shape[3]);
    a.kernel_width = narrow<int>(attrs.kernel[1]);
    a.stride = narrow<int>(attrs.stride);
    a.pad_top = narrow<int>(attrs.pad[0]);
    a.pad_left = narrow<int>(attrs.pad[1]);
    return f;
}

Form form_of(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    if (is_gradient(n)) return gradient_form(g, n);
    return n.op == OpKind::kLinear ? linear_form(d, g, n) : conv_form(d, g, n);
}

// The choice for a shape whose addresses are known; `planned` is the shape that product_scratch
// saw.
ProductConfig config_for(const NodeContext& c,
                         const ProductShape& shape,
                         const ProductShape& planned) {
    const std::vector<ProductConfig> candidates = candidate_configs(c.device, shape);
    if (shape != planned) {  // an operand lies askew: there may be no room for parts of its sums
        const auto whole = std::find_if(candidates.begin(),
                                        candidates.end(),
                                        [](const ProductConfig& x) { return x.splits == 1; });
        return {whole == candidates.end() ? candidates.front().tile : whole->tile, 1};
    }
    if (c.products != nullptr) {
        const std::optional<ProductConfig> known = c.products->lookup(shape);
        if (known && std::find(candidates.begin(), candidates.end(), *known) != candidates.end()) {
            return *known;
        }
    }
    return candidates.front();
}

SplitSum split_sum(const NodeContext& c,
                   ScratchLayout& layout,
                   const ProductShape& shape,
                   const ProductConfig& config) {
    SplitSum split;
    split.count = config.splits;
    if (config.splits == 1) return split;
    LORA_CHECK(num_product_tiles(shape, config) <= most_split_tiles(c.device),
               "more tiles than arrival counters");
    split.partial = reinterpret_cast<float*>(
        layout.take<std::byte>(static_cast<int64_t>(split_bytes(shape, config))));
    split.arrivals = reinterpret_cast<unsigned*>(c.arrivals);
    return split;
}

// w [O, I, taps] -> dst [O, taps, I].
Launch reorder_launch(const NodeContext& c, void* dst) {
    constexpr int64_t kThreads = 256;
    constexpr int64_t kMostBlocks = 4096;
    const ir::Value& w = c.input(1);
    WeightArgs args;
    args.src = c.in_ptr(1);
    args.dst = dst;
    args.count = w.shape.num_elements();
    args.taps = narrow<int>(w.shape[2] * w.shape[3]);
    args.channels = narrow<int>(w.shape[1]);
    args.dst_type = w.dtype == DType::kF32 ? 0 : w.dtype == DType::kBF16 ? 1 : 2;
    Launch launch;
    launch.file = "weight";
    launch.kernel = std::string("weight_convert_") + suffix_of(w.dtype);
    launch.grid.x = static_cast<uint32_t>(std::min(kMostBlocks, ceil_div(args.count, kThreads)));
    launch.block.x = kThreads;
    launch.set_args(args);
    return launch;
}

void set_product_args(Launch& launch,
                      const ProductArgs& args,
                      const ProductShape& shape,
                      const ProductConfig& config) {
    if (needs_tensor_maps(config)) {
        launch.set_args(with_tensor_maps(args, shape, config));
    } else {
        launch.set_args(args);
    }
}

// A product beside the node's own, in one launch: A [m, k] B, B lying as the node's does.
struct Beside {
    const void* a = nullptr;
    const void* b = nullptr;
    const void* addend = nullptr;
    void* dst = nullptr;
    int64_t n = 0;
    int64_t k = 0;
    double alpha = 1;
};

Launch beside_launch(const NodeContext& c, const ProductShape& own, const Beside& product) {
    Form f;
    f.shape.dtype = own.dtype;
    set_sizes(own.m, product.n, product.k, f);
    set_plain(is_depth_contiguous(own.kind), f);
    f.shape.vector = f.shape.vector && is_aligned(product.a) && is_aligned(product.b);
    f.shape.wide = f.shape.wide && is_aligned(product.addend) && is_aligned(product.dst);
    ProductArgs args = f.args;
    args.a = product.a;
    args.b = product.b;
    args.addend = product.addend;
    args.dst = product.dst;
    args.alpha = static_cast<float>(product.alpha);
    args.wide = f.shape.wide ? 1 : 0;
    const std::vector<ProductConfig> candidates = candidate_configs(c.device, f.shape);
    const auto unsplit = std::find_if(
        candidates.begin(), candidates.end(), [](const ProductConfig& x) { return x.splits == 1; });
    const ProductConfig config{
        unsplit == candidates.end() ? candidates.front().tile : unsplit->tile, 1};
    args.k_per_split = depth_of_split(f.shape, config);
    Launch launch = product_launch(f.shape, config);
    set_product_args(launch, args, f.shape, config);
    return launch;
}

// The kernel takes the second product along, or it follows in a launch of its own.
bool takes_second(const NodeContext& c, const ProductShape& shape, const ProductConfig& config) {
    return takes_second_product(config) && is_multiple_of_8(shape.k2) && is_aligned(c.in[4]) &&
           is_aligned(c.in[5]);
}

void set_second(const NodeContext& c, const ProductShape& shape, ProductArgs& args) {
    const bool depth_contiguous = is_depth_contiguous(shape.kind);
    args.a2 = c.in_ptr(4);
    args.b2 = c.in_ptr(5);
    args.k2 = narrow<int>(shape.k2);
    args.b2_stride_k = depth_contiguous ? 1 : shape.n;
    args.b2_stride_n = depth_contiguous ? shape.k2 : 1;
    args.alpha2 = static_cast<float>(c.node.attrs.alpha2);
}

Launches matrix_launches(const NodeContext& c) {
    const Form form = form_of(c.device, c.graph, c.node);
    ProductArgs args = form.args;
    ScratchLayout layout(c.scratch);
    Launches launches;
    args.a = c.in_ptr(0);
    args.b = c.in_ptr(1);
    if (form.reordered > 0) {
        const size_t width = dtype_bytes(form.shape.dtype);
        void* filter = layout.take<std::byte>(form.reordered * static_cast<int64_t>(width));
        launches.push_back(reorder_launch(c, filter));
        args.b = filter;
    }
    if (form.bias_slot >= 0) args.bias = c.in_ptr(form.bias_slot);
    if (form.addend_slot >= 0) args.addend = c.in_ptr(form.addend_slot);
    args.dst = c.out_ptr();
    args.alpha = static_cast<float>(c.node.attrs.alpha);

    ProductShape shape = form.shape;
    shape.vector = shape.vector && is_aligned(args.a) && is_aligned(args.b);
    if (shape.kind == ProductKind::kParityKn && !shape.vector) {
        shape.kind = ProductKind::kBackwardKn;
        shape.m = args.m;
        shape.k = args.k;
    }
    shape.wide =
        shape.wide && is_aligned(args.dst) && is_aligned(args.bias) && is_aligned(args.addend);
    args.wide = shape.wide ? 1 : 0;
    const ir::Node* source = mid_source(c.device, c.graph, c.node);
    const bool planned_mid =
        shape.kind == ProductKind::kLoraNk || shape.kind == ProductKind::kLoraKn;
    const bool makes_mid = planned_mid && shape.vector && shape.wide && is_aligned(c.mid_factor) &&
                           is_aligned(c.in[4]) && is_aligned(c.in[5]);
    if (planned_mid && !makes_mid) {
        shape.kind =
            is_depth_contiguous(shape.kind) ? ProductKind::kPlainNk : ProductKind::kPlainKn;
    }
    if (source != nullptr && !makes_mid) {
        launches.push_back(beside_launch(c,
                                         shape,
                                         {.a = args.a,
                                          .b = reinterpret_cast<const void*>(c.mid_factor),
                                          .dst = c.in_ptr(4),
                                          .n = shape.k2,
                                          .k = shape.k,
                                          .alpha = source->attrs.alpha}));
    }
    const ProductConfig config = config_for(c, shape, form.shape);
    args.k_per_split = depth_of_split(shape, config);
    args.split = split_sum(c, layout, shape, config);

    const bool second_apart = shape.k2 > 0 && !makes_mid && !takes_second(c, shape, config);
    if (shape.k2 > 0 && !second_apart) set_second(c, shape, args);
    if (makes_mid) {
        args.a2 = reinterpret_cast<const void*>(c.mid_factor);
        args.mid = c.in_ptr(4);
        args.alpha_mid = static_cast<float>(source->attrs.alpha);
    }
    launches.push_back(product_launch(shape, config));
    set_product_args(launches.back(), args, shape, config);
    if (second_apart) {
        launches.push_back(beside_launch(c,
                                         shape,
                                         {.a = c.in_ptr(4),
                                          .b = c.in_ptr(5),
                                          .addend = args.dst,
                                          .dst = args.dst,
                                          .n = shape.n,
                                          .k = shape.k2,
                                          .alpha = c.node.attrs.alpha2}));
    }
    return launches;
}

// Pixels of x times columns of the spread dy.
int64_t spread_elements(const ir::Graph& g, const ir::Node& n, const Form& f) {
    const int64_t points = input(g, n, 1).shape.num_elements() / std::max(1, f.gradient.in);
    return points * round_up(int64_t{f.gradient.taps} * f.gradient.out, 8);
}

Launches thin_gradient_launches(const NodeContext& c, const Form& form) {
    const WeightGradientArgs& g = form.gradient;
    const int64_t elements = spread_elements(c.graph, c.node, form);
    SpreadArgs spread;
    spread.src = c.in_ptr(0);
    spread.dst = reinterpret_cast<void*>(c.scratch);
    spread.channels = g.out;
    spread.taps = g.taps;
    spread.columns = narrow<int>(round_up(int64_t{g.taps} * g.out, 8));
    spread.points = elements / spread.columns;
    spread.kernel_width = g.kernel_width;
    spread.stride = g.stride;
    spread.pad_top = g.pad_top;
    spread.pad_left = g.pad_left;
    spread.height = g.height;
    spread.width = g.width;
    spread.out_height = g.out_height;
    spread.out_width = g.out_width;
    Launches launches{make_launch(
        "movement", "spread", piece_grid(c.device, elements / 8), kPieceThreads, spread)};

    WeightGradientArgs args;
    args.dy = spread.dst;
    args.x = c.in_ptr(1);
    args.dst = c.out_ptr();
    args.out = spread.columns;
    args.in = g.in;
    args.points = narrow<int>(spread.points);
    args.accumulate = g.accumulate;
    args.half = g.half;
    args.by_taps = g.by_taps;
    args.alpha = g.alpha;
    args.row_taps = g.taps;
    args.row_outs = g.out;
    launches.push_back(single_gradient(args, form.shape.dtype));
    return launches;
}

Launches gradient_launches(const NodeContext& c) {
    const Form form = form_of(c.device, c.graph, c.node);
    WeightGradientArgs args = form.gradient;
    args.dy = c.in_ptr(0);
    args.x = c.in_ptr(1);
    args.dst = c.out_ptr();
    ProductShape shape = form.shape;
    shape.vector = shape.vector && is_aligned(c.in[0]) && is_aligned(c.in[1]);
    if (is_grouped_gradient(c.device, shape)) return {single_gradient(args, shape.dtype)};
    if (is_thin_gradient(c.device, shape)) {
        LORA_CHECK(is_aligned(c.in[1]), "an image that lies askew");
        return thin_gradient_launches(c, form);
    }
    const ProductConfig config = config_for(c, shape, form.shape);
    args.points_per_split = depth_of_split(shape, config);
    ScratchLayout layout(c.scratch);
    args.split = split_sum(c, layout, shape, config);
    Launches launches{product_launch(shape, config)};
    if (needs_tensor_maps(config)) {
        launches.back().set_args(with_tensor_maps(args, shape));
    } else {
        launches.back().set_args(args);
    }
    return launches;
}

}  // namespace

const ir::Node* mid_source(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    if (d.compute_major != 9 || n.op != OpKind::kLinear || !n.inputs[4].valid()) return nullptr;
    const ir::ValueId mid = ir::storage_of(g, n.inputs[4]);
    const int32_t maker = g.value(mid).producer;
    if (maker < 0) return nullptr;
    const ir::Node& source = g.nodes()[static_cast<size_t>(maker)];
    const auto has = [&source](size_t slot) { return source.inputs[slot].valid(); };
    if (source.op != OpKind::kLinear || has(2) || has(3) || has(4) ||
        source.attrs.transpose_weight != n.attrs.transpose_weight ||
        ir::storage_of(g, source.inputs[0]) != ir::storage_of(g, n.inputs[0])) {
        return nullptr;
    }
    const ir::Value& value = g.value(mid);
    const int64_t width = value.shape[-1];
    if (value.dtype == DType::kF32 || width > kMostMidColumns || !is_multiple_of_8(width) ||
        input(g, n, 0).shape.num_elements() != input(g, source, 0).shape.num_elements()) {
        return nullptr;
    }
    // Nobody may want it before n runs.
    const int32_t own = g.value(n.outputs[0]).producer;
    for (int32_t i = maker + 1; i < own; ++i) {
        const ir::Node& between = g.nodes()[static_cast<size_t>(i)];
        if (ir::op_info(between.op).is_view) continue;
        for (const ir::ValueId id : between.inputs) {
            if (id.valid() && ir::storage_of(g, id) == mid) return nullptr;
        }
    }
    return &source;
}

ProductShape product_shape(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    return form_of(d, g, n).shape;
}

size_t product_scratch(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    const Form form = form_of(d, g, n);
    if (is_grouped_gradient(d, form.shape)) return 0;
    if (is_thin_gradient(d, form.shape)) {
        ScratchLayout layout;
        layout.take<uint16_t>(spread_elements(g, n, form));
        return layout.used();
    }
    size_t partial = 0;
    for (const ProductConfig& config : candidate_configs(d, form.shape)) {
        partial = std::max(partial, split_bytes(form.shape, config));
    }
    ScratchLayout layout;
    layout.take<std::byte>(form.reordered * static_cast<int64_t>(dtype_bytes(form.shape.dtype)));
    layout.take<std::byte>(static_cast<int64_t>(partial));
    return layout.used();
}

Launches product_launches(const NodeContext& c) {
    return is_gradient(c.node) ? gradient_launches(c) : matrix_launches(c);
}

}  // namespace lora::cuda
