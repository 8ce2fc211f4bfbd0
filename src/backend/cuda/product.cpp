// Linear layers and convolutions, forward and backward: which product of kernels/product_args.h a
// node is, which kernel computes it, and its launches.
#include <algorithm>
#include <array>

#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/product_args.h"
#include "backend/cuda/kernels/weight_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

enum class Family : uint8_t { kTensor, kElements, kSimt, kHopper };

constexpr unsigned bit(ProductKind kind) { return 1U << static_cast<unsigned>(kind); }
constexpr unsigned kPlain = bit(ProductKind::kPlainNk) | bit(ProductKind::kPlainKn);
constexpr unsigned kGemm = kPlain | bit(ProductKind::kForwardNk) | bit(ProductKind::kBackwardKn);
constexpr unsigned kHopperWide = bit(ProductKind::kPlainNk) | bit(ProductKind::kForwardNk);
constexpr unsigned kGradient =
    bit(ProductKind::kGradientPlain) | bit(ProductKind::kGradientPatches);

struct TileRow {
    std::string_view name;
    std::string_view file;
    Family family;
    unsigned kinds;
    int rows;
    int columns;
    int depth;
    int threads;
    int shared_bytes;
    int rate;  // multiplications a clock that a multiprocessor full of such blocks does
};

constexpr TileRow tile_row(std::string_view name,
                           std::string_view file,
                           unsigned kinds,
                           const ProductTile& tile,
                           int rate,
                           Family family = Family::kTensor) {
    return {name,
            file,
            family,
            kinds,
            tile.rows,
            tile.columns,
            tile.depth,
            tile.threads(),
            tile.shared_bytes(),
            rate};
}

// kernels/gemm_hopper.cuh: HopperTile.
constexpr TileRow hopper_row(
    std::string_view name, unsigned kinds, int rows, int columns, int stages, int rate) {
    const int steps = stages * (rows + columns) * 128;
    const int staging = rows * (columns + 4) * 4;
    return {name,
            "gemm_hopper",
            Family::kHopper,
            kinds,
            rows,
            columns,
            64,
            rows * 2,
            std::max(steps, staging) + 1024,
            rate};
}

constexpr TileRow simt_row(std::string_view file, unsigned kinds) {
    return {
        "simt", file, Family::kSimt, kinds, kSimtTile, kSimtTile, kSimtDepth, kSimtThreads, 0, 50};
}

// clang-format off
constexpr std::array kTiles = {
    tile_row("128x128", "gemm_128x128", kGemm, kGemm128x128, 640),
    tile_row("128x64", "gemm_128x64", kGemm, kGemm128x64, 600),
    tile_row("64x64", "gemm_64x64", kGemm, kGemm64x64, 500),
    tile_row("64x32", "gemm_64x32", kGemm, kGemm64x32, 350),
    tile_row("16x64", "gemm_16x64", kPlain, kGemm16x64, 200),
    tile_row("elements", "gemm_elements", kGemm, kGemmElements, 60, Family::kElements),
    simt_row("gemm_simt", kGemm),
    hopper_row("hopper_64x64", kGemm, 64, 64, 4, 900),
    hopper_row("hopper_128x64", kGemm, 128, 64, 4, 1100),
    hopper_row("hopper_128x128", kGemm, 128, 128, 3, 1400),
    hopper_row("hopper_128x128_deep", kGemm, 128, 128, 6, 1400),
    hopper_row("hopper_256x64", kGemm, 256, 64, 5, 1300),
    hopper_row("hopper_256x128", kGemm, 256, 128, 4, 1600),
    hopper_row("hopper_128x256", kHopperWide, 128, 256, 4, 1600),
    tile_row("32x128", "wgrad", kGradient, kGradient32x128, 400),
    tile_row("128x32", "wgrad", kGradient, kGradient128x32, 400),
    tile_row("64x64", "wgrad", kGradient, kGradient64x64, 450),
    tile_row("elements", "wgrad", kGradient, kGradientElements, 60, Family::kElements),
    simt_row("wgrad", kGradient),
};
// clang-format on

constexpr size_t kMostPartialBytes = size_t{32} << 20;
constexpr size_t kMostCandidates = 24;
constexpr int64_t kSplits[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64};

const TileRow& row_of(const ProductConfig& config) {
    return kTiles[static_cast<size_t>(config.tile)];
}

bool is_gradient(const ir::Node& n) {
    return n.op == OpKind::kLinearBackwardWeight || n.op == OpKind::kConv2dBackwardWeight;
}
bool is_multiple_of_8(int64_t n) { return n % 8 == 0; }
bool is_aligned(DevicePtr p) { return p % 16 == 0; }  // true for an absent operand

bool is_usable(const DeviceInfo& d, const TileRow& row, const ProductShape& s) {
    if ((row.kinds & bit(s.kind)) == 0) return false;
    if (static_cast<size_t>(row.shared_bytes) > d.shared_bytes_per_block) return false;
    const bool on_tensor_cores = s.dtype != DType::kF32 && d.compute_major >= 8;
    switch (row.family) {
        case Family::kTensor: return on_tensor_cores && s.vector;
        case Family::kElements: return on_tensor_cores && !s.vector;
        case Family::kSimt: return !on_tensor_cores;
        case Family::kHopper:
            return on_tensor_cores && d.compute_major == 9 && s.vector && s.wide &&
                   s.channels % 64 == 0;
    }
    return false;
}

int64_t num_tiles(const TileRow& row, const ProductShape& s) {
    return ceil_div(s.m, row.rows) * ceil_div(s.n, row.columns);
}
int64_t steps_per_split(const TileRow& row, const ProductShape& s, int64_t splits) {
    return ceil_div(ceil_div(s.k, row.depth), splits);
}
size_t partial_bytes(const ProductShape& s, const ProductConfig& config) {
    if (config.splits == 1) return 0;
    return static_cast<size_t>(config.splits * s.m * s.n) * sizeof(float);
}

// Clocks, roughly: blocks of one multiprocessor follow each other, a step takes as long as its
// multiplications or its loads, whichever is longer, and a split sum has to be added up.
double estimate(const DeviceInfo& d, const ProductShape& s, const ProductConfig& config) {
    constexpr double kStart = 1500;
    constexpr double kSecondLaunch = 2500;
    constexpr double kLoadBytes = 30;  // a clock and multiprocessor, from the L2 cache
    constexpr double kAlone = 1.3;     // one small block does not hide its own waiting
    const TileRow& row = row_of(config);
    const int64_t blocks = num_tiles(row, s) * config.splits;
    const auto each = static_cast<double>(ceil_div(blocks, d.num_multiprocessors));
    const double multiply =
        static_cast<double>(row.rows) * row.columns * row.depth / static_cast<double>(row.rate);
    const double load = static_cast<double>(row.rows + row.columns) * row.depth * 2 / kLoadBytes;
    double step = std::max(multiply, load);
    if (blocks <= d.num_multiprocessors && row.threads <= 128) step *= kAlone;
    double clocks =
        kStart + each * step * static_cast<double>(steps_per_split(row, s, config.splits));
    if (config.splits > 1) {
        clocks += kSecondLaunch + static_cast<double>(2 * partial_bytes(s, config)) /
                                      (kLoadBytes * d.num_multiprocessors);
    }
    return clocks;
}

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

Form linear_form(const ir::Graph& g, const ir::Node& n) {
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

Form conv_form(const ir::Graph& g, const ir::Node& n) {
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
        }
    }
    const ir::ValueKind kind = g.value(ir::storage_of(g, n.inputs[1])).kind;
    if (taps > 1 && kind != ir::ValueKind::kWeight) f.reordered = w.shape.num_elements();
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

Form form_of(const ir::Graph& g, const ir::Node& n) {
    if (is_gradient(n)) return gradient_form(g, n);
    return n.op == OpKind::kLinear ? linear_form(g, n) : conv_form(g, n);
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

std::string kernel_name(const TileRow& row, const ProductShape& s) {
    static constexpr const char* kKinds[] = {
        "plain_nk", "plain_kn", "forward_nk", "backward_kn", "plain", "patches"};
    const bool gradient = (bit(s.kind) & kGradient) != 0;
    const char* kind = kKinds[static_cast<size_t>(s.kind)];
    if (gradient && row.family != Family::kTensor) kind = "patches";
    std::string name = gradient ? "wgrad_" : "gemm_";
    return name.append(row.name).append("_").append(kind).append("_").append(suffix_of(s.dtype));
}

Launch product_launch(const ProductShape& s, const ProductConfig& config) {
    const TileRow& row = row_of(config);
    Launch launch;
    launch.file = row.file;
    launch.kernel = kernel_name(row, s);
    launch.grid.x = narrow<uint32_t>(num_tiles(row, s));
    launch.grid.z = narrow<uint32_t>(config.splits);
    launch.block.x = static_cast<uint32_t>(row.threads);
    launch.shared_bytes = static_cast<uint32_t>(row.shared_bytes);
    return launch;
}

int depth_of_split(const ProductShape& s, const ProductConfig& config) {
    const TileRow& row = row_of(config);
    return narrow<int>(steps_per_split(row, s, config.splits) * row.depth);
}

// Sums `count` elements over the splits, `width` a thread.
Launch reduce_launch(std::string file, std::string kernel, int64_t count, int width, int splits) {
    Launch launch;
    launch.file = std::move(file);
    launch.kernel = std::move(kernel);
    launch.grid.x = narrow<uint32_t>(ceil_div(count, int64_t{32} * width));
    launch.block.x = 32;
    launch.block.y = static_cast<uint32_t>(std::min(splits, kReduceGroups));
    return launch;
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

// The second product of a linear layer, for kernels that compute one at a time: added to dst.
Launches second_launches(const NodeContext& c, const ProductArgs& first, const Form& form) {
    const ProductShape& whole = form.shape;
    Form f;
    f.shape.dtype = whole.dtype;
    set_sizes(whole.m, whole.n, whole.k2, f);
    set_plain(whole.kind == ProductKind::kPlainNk, f);
    f.shape.vector = f.shape.vector && is_aligned(c.in[4]) && is_aligned(c.in[5]);
    f.shape.wide = first.wide != 0;
    ProductArgs args = f.args;
    args.a = c.in_ptr(4);
    args.b = c.in_ptr(5);
    args.addend = args.dst = first.dst;
    args.alpha = static_cast<float>(c.node.attrs.alpha2);
    args.wide = first.wide;
    const std::vector<ProductConfig> candidates = candidate_configs(c.device, f.shape);
    const auto unsplit = std::find_if(
        candidates.begin(), candidates.end(), [](const ProductConfig& x) { return x.splits == 1; });
    const ProductConfig config{
        unsplit == candidates.end() ? candidates.front().tile : unsplit->tile, 1};
    args.k_per_split = depth_of_split(f.shape, config);
    Launches launches{product_launch(f.shape, config)};
    launches.back().set_args(args);
    return launches;
}

// The kernel takes the second product along, or it follows in a launch of its own.
bool takes_second(const NodeContext& c, const ProductShape& shape, const ProductConfig& config) {
    return row_of(config).family == Family::kHopper && is_multiple_of_8(shape.k2) &&
           is_aligned(c.in[4]) && is_aligned(c.in[5]);
}

Launches matrix_launches(const NodeContext& c) {
    const Form form = form_of(c.graph, c.node);
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

    const auto aligned = [](const void* p) { return is_aligned(reinterpret_cast<DevicePtr>(p)); };
    ProductShape shape = form.shape;
    shape.vector = shape.vector && aligned(args.a) && aligned(args.b);
    shape.wide = shape.wide && aligned(args.dst) && aligned(args.bias) && aligned(args.addend);
    args.wide = shape.wide ? 1 : 0;
    const ProductConfig config = config_for(c, shape, form.shape);
    args.k_per_split = depth_of_split(shape, config);
    args.splits = config.splits;
    const int64_t count = shape.m * shape.n;
    if (config.splits > 1) args.partial = layout.take<float>(config.splits * count);

    const bool second_apart = shape.k2 > 0 && !takes_second(c, shape, config);
    if (shape.k2 > 0 && !second_apart) {
        const bool depth_contiguous = shape.kind == ProductKind::kPlainNk;
        args.a2 = c.in_ptr(4);
        args.b2 = c.in_ptr(5);
        args.k2 = narrow<int>(shape.k2);
        args.b2_stride_k = depth_contiguous ? 1 : shape.n;
        args.b2_stride_n = depth_contiguous ? shape.k2 : 1;
        args.alpha2 = static_cast<float>(c.node.attrs.alpha2);
    }
    launches.push_back(product_launch(shape, config));
    launches.back().set_args(args);
    if (config.splits > 1) {
        launches.push_back(reduce_launch("gemm_reduce",
                                         std::string("gemm_reduce_") + suffix_of(shape.dtype),
                                         count,
                                         shape.wide ? 4 : 1,
                                         config.splits));
        launches.back().set_args(args);
    }
    if (second_apart) {
        for (Launch& launch : second_launches(c, args, form)) {
            launches.push_back(std::move(launch));
        }
    }
    return launches;
}

Launches gradient_launches(const NodeContext& c) {
    const Form form = form_of(c.graph, c.node);
    WeightGradientArgs args = form.gradient;
    args.dy = c.in_ptr(0);
    args.x = c.in_ptr(1);
    args.dst = c.out_ptr<float>();
    ProductShape shape = form.shape;
    shape.vector = shape.vector && is_aligned(c.in[0]) && is_aligned(c.in[1]);
    const ProductConfig config = config_for(c, shape, form.shape);
    args.points_per_split = depth_of_split(shape, config);
    args.splits = config.splits;
    const int64_t count = shape.m * shape.n;
    ScratchLayout layout(c.scratch);
    if (config.splits > 1) args.partial = layout.take<float>(config.splits * count);

    Launches launches{product_launch(shape, config)};
    launches.back().set_args(args);
    if (config.splits > 1) {
        launches.push_back(reduce_launch("wgrad", "wgrad_reduce", count, 1, config.splits));
        launches.back().set_args(args);
    }
    return launches;
}

}  // namespace

std::string_view product_tile_name(int tile) { return kTiles[static_cast<size_t>(tile)].name; }

std::optional<int> find_product_tile(std::string_view name, bool is_gradient) {
    for (size_t i = 0; i < kTiles.size(); ++i) {
        const bool for_gradients = (kTiles[i].kinds & kGradient) != 0;
        if (kTiles[i].name == name && for_gradients == is_gradient) return static_cast<int>(i);
    }
    return std::nullopt;
}

ProductShape product_shape(const ir::Graph& g, const ir::Node& n) { return form_of(g, n).shape; }

std::vector<ProductConfig> candidate_configs(const DeviceInfo& d, const ProductShape& shape) {
    struct Candidate {
        ProductConfig config;
        double clocks;
    };
    std::vector<Candidate> found;
    for (size_t tile = 0; tile < kTiles.size(); ++tile) {
        const TileRow& row = kTiles[tile];
        if (!is_usable(d, row, shape)) continue;
        const int64_t steps = ceil_div(shape.k, row.depth);
        int64_t last = 0;
        for (const int64_t wanted : kSplits) {
            const int64_t each = ceil_div(steps, wanted);
            const int64_t splits = ceil_div(steps, each);  // none of them empty
            if (splits == last) continue;
            last = splits;
            const ProductConfig config{static_cast<int>(tile), static_cast<int>(splits)};
            const bool fills = num_tiles(row, shape) * splits > int64_t{4} * d.num_multiprocessors;
            if (splits > 1 &&
                (each < 2 || fills || partial_bytes(shape, config) > kMostPartialBytes)) {
                break;
            }
            found.push_back({config, estimate(d, shape, config)});
        }
    }
    LORA_CHECK(!found.empty(), "no kernel computes this product");
    std::stable_sort(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
        return a.clocks < b.clocks;
    });
    if (found.size() > kMostCandidates) found.resize(kMostCandidates);
    std::vector<ProductConfig> configs;
    for (const Candidate& candidate : found) configs.push_back(candidate.config);
    return configs;
}

ProductConfig choose_config(const DeviceInfo& d, const ProductShape& shape) {
    return candidate_configs(d, shape).front();
}

size_t product_scratch(const DeviceInfo& d, const ir::Graph& g, const ir::Node& n) {
    const Form form = form_of(g, n);
    size_t partial = 0;
    for (const ProductConfig& config : candidate_configs(d, form.shape)) {
        partial = std::max(partial, partial_bytes(form.shape, config));
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
