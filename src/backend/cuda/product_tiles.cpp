// Which kernels there are for a product, and which of them seem fastest: the table of tiles, the
// estimate behind the first guess, and how a choice becomes a launch.
#include <algorithm>
#include <array>

#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/product_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

enum class Family : uint8_t { kTensor, kElements, kSimt, kHopper };

constexpr unsigned bit(ProductKind kind) { return 1U << static_cast<unsigned>(kind); }
constexpr unsigned kPlain = bit(ProductKind::kPlainNk) | bit(ProductKind::kPlainKn);
constexpr unsigned kLora = bit(ProductKind::kLoraNk) | bit(ProductKind::kLoraKn);
constexpr unsigned kGemm = kPlain | bit(ProductKind::kForwardNk) | bit(ProductKind::kBackwardKn);
constexpr unsigned kParity = bit(ProductKind::kParityKn);
constexpr unsigned kPatches = bit(ProductKind::kGradientPatches);
constexpr unsigned kGradient = bit(ProductKind::kGradientPlain) | kPatches;

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
struct HopperTile {
    int warpgroups;
    int rows;
    int columns;
    int stages;
};

// Of few sums a thread one warp copies, of many a warpgroup.
constexpr TileRow hopper_row(std::string_view name,
                             unsigned kinds,
                             const HopperTile& tile,
                             int rate) {
    const auto [warpgroups, rows, columns, stages] = tile;
    const int mid = kinds == kLora ? 32 : 0;
    const int stage = (rows + static_cast<int>(round_up(columns, 64)) + 2 * mid) * 128;
    const bool trades_registers = rows / 64 / warpgroups * (columns + mid) > 256;
    return {name,
            "gemm_hopper",
            Family::kHopper,
            kinds,
            rows,
            columns,
            64,
            128 * warpgroups + (trades_registers ? 128 : 32),
            stages * (stage + 16) + 1024,
            rate};
}

// kernels/wgrad_hopper.cu: the same tiles of two warpgroups.
constexpr TileRow gradient_row(std::string_view name, int rows, int stages, int rate) {
    TileRow row = hopper_row(name, kGradient, {2, rows, 128, stages}, rate);
    row.file = "wgrad_hopper";
    return row;
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
    tile_row("128x64", "gemm_parity", kParity, kGemm128x64, 600),
    tile_row("64x64", "gemm_parity", kParity, kGemm64x64, 500),
    simt_row("gemm_simt", kGemm),
    hopper_row("hopper_64x64", kGemm, {1, 64, 64, 6}, 1000),
    hopper_row("hopper_128x64", kGemm, {2, 128, 64, 4}, 1300),
    hopper_row("hopper_128x128", kGemm, {2, 128, 128, 3}, 1700),
    hopper_row("hopper_128x160", kGemm, {2, 128, 160, 5}, 1800),
    hopper_row("hopper_256x128", kGemm, {2, 256, 128, 4}, 2000),
    hopper_row("hopper_256x160", kGemm, {2, 256, 160, 4}, 2000),
    hopper_row("hopper_64x64", kLora, {1, 64, 64, 4}, 1000),
    hopper_row("hopper_128x64", kLora, {2, 128, 64, 3}, 1300),
    hopper_row("hopper_128x128", kLora, {2, 128, 128, 5}, 1700),
    hopper_row("hopper_128x160", kLora, {2, 128, 160, 4}, 1800),
    hopper_row("hopper_256x128", kLora, {2, 256, 128, 4}, 2000),
    hopper_row("hopper_256x160", kLora, {2, 256, 160, 3}, 2000),
    tile_row("32x128", "wgrad", kPatches, kGradient32x128, 400),
    tile_row("64x64", "wgrad", kPatches, kGradient64x64, 450),
    gradient_row("hopper_128x128", 128, 4, 1600),
    gradient_row("hopper_256x128", 256, 4, 1900),
    tile_row("elements", "wgrad", kGradient, kGradientElements, 60, Family::kElements),
    simt_row("wgrad", kGradient),
};
// clang-format on

constexpr int64_t kLeastHopperRows = 64;  // of a gradient
constexpr size_t kMostPartialBytes = size_t{32} << 20;
constexpr size_t kMostCandidates = 24;
constexpr int64_t kSplits[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64};

const TileRow& row_of(const ProductConfig& config) {
    return kTiles[static_cast<size_t>(config.tile)];
}

bool is_usable(const DeviceInfo& d, const TileRow& row, const ProductShape& s) {
    if ((row.kinds & bit(s.kind)) == 0) return false;
    if (static_cast<size_t>(row.shared_bytes) > d.shared_bytes_per_block) return false;
    const bool on_tensor_cores = s.dtype != DType::kF32 && d.compute_major >= 8;
    switch (row.family) {
        case Family::kTensor: return on_tensor_cores && s.vector;
        case Family::kElements: return on_tensor_cores && !s.vector;
        case Family::kSimt: return !on_tensor_cores;
        case Family::kHopper:
            if ((bit(s.kind) & kGradient) != 0) {
                return on_tensor_cores && d.compute_major == 9 && s.vector &&
                       s.channels % 64 == 0 && s.m >= kLeastHopperRows;
            }
            return on_tensor_cores && d.compute_major == 9 && s.vector && s.wide &&
                   s.channels % 64 == 0 && (s.kind != ProductKind::kBackwardKn || s.stride == 1);
    }
    return false;
}

int64_t num_tiles(const TileRow& row, const ProductShape& s) {
    const int64_t parts = s.kind == ProductKind::kParityKn ? 4 : 1;
    return parts * ceil_div(s.m, row.rows) * ceil_div(s.n, row.columns);
}
int64_t steps_per_split(const TileRow& row, const ProductShape& s, int64_t splits) {
    return ceil_div(ceil_div(s.k, row.depth), splits);
}

int64_t mid_columns(const ProductShape& s) {
    return (bit(s.kind) & kLora) != 0 ? kMostMidColumns : 0;
}

// Clocks, roughly: blocks of one multiprocessor follow each other, a step takes as long as its
// multiplications or its loads, whichever is longer, and the last block of a split sum reads all.
double estimate(const DeviceInfo& d, const ProductShape& s, const ProductConfig& config) {
    constexpr double kStart = 1500;
    constexpr double kArrival = 1500;
    constexpr double kLoadBytes = 30;  // a clock and multiprocessor, from the L2 cache
    constexpr double kAlone = 1.3;     // one small block does not hide its own waiting
    const TileRow& row = row_of(config);
    const int64_t blocks = num_tiles(row, s) * config.splits;
    const auto each = static_cast<double>(ceil_div(blocks, d.num_multiprocessors));
    const auto columns = static_cast<double>(row.columns + mid_columns(s));
    const double multiply = row.rows * columns * row.depth / static_cast<double>(row.rate);
    const double load = (row.rows + columns) * row.depth * 2 / kLoadBytes;
    double step = std::max(multiply, load);
    if (blocks <= d.num_multiprocessors && row.threads <= 128) step *= kAlone;
    double clocks =
        kStart + each * step * static_cast<double>(steps_per_split(row, s, config.splits));
    if (config.splits > 1) {
        const double tile_bytes = row.rows * columns * sizeof(float);
        clocks += kArrival + tile_bytes * (each + config.splits) / kLoadBytes;
    }
    return clocks;
}

std::string kernel_name(const TileRow& row, const ProductShape& s) {
    static constexpr const char* kKinds[] = {"plain_nk",
                                             "plain_kn",
                                             "forward_nk",
                                             "backward_kn",
                                             "plain",
                                             "patches",
                                             "lora_nk",
                                             "lora_kn",
                                             "parity_kn"};
    const bool gradient = (bit(s.kind) & kGradient) != 0;
    const char* kind = kKinds[static_cast<size_t>(s.kind)];
    if (gradient && row.family != Family::kTensor && row.family != Family::kHopper) {
        kind = "patches";
    }
    std::string name = gradient ? "wgrad_" : "gemm_";
    return name.append(row.name).append("_").append(kind).append("_").append(suffix_of(s.dtype));
}

}  // namespace

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

TileSize product_tile_size(const ProductConfig& config) {
    return {row_of(config).rows, row_of(config).columns};
}

bool needs_tensor_maps(const ProductConfig& config) {
    return row_of(config).family == Family::kHopper;
}

bool takes_second_product(const ProductConfig& config) {
    return row_of(config).family == Family::kHopper;
}

int64_t num_product_tiles(const ProductShape& shape, const ProductConfig& config) {
    return num_tiles(row_of(config), shape);
}

size_t split_bytes(const ProductShape& shape, const ProductConfig& config) {
    if (config.splits == 1) return 0;
    const TileRow& row = row_of(config);
    const int64_t columns = row.columns + mid_columns(shape);
    return static_cast<size_t>(config.splits * num_tiles(row, shape) * row.rows * columns) *
           sizeof(float);
}

std::string_view product_tile_name(int tile) { return kTiles[static_cast<size_t>(tile)].name; }

std::optional<int> find_product_tile(std::string_view name, ProductKind kind) {
    for (size_t i = 0; i < kTiles.size(); ++i) {
        if (kTiles[i].name == name && (kTiles[i].kinds & bit(kind)) != 0) {
            return static_cast<int>(i);
        }
    }
    return std::nullopt;
}

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
                (each < 2 || fills || split_bytes(shape, config) > kMostPartialBytes)) {
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
    configs.reserve(found.size());
    for (const Candidate& candidate : found) configs.push_back(candidate.config);
    return configs;
}

ProductConfig choose_config(const DeviceInfo& d, const ProductShape& shape) {
    return candidate_configs(d, shape).front();
}

}  // namespace lora::cuda
