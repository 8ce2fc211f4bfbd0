#include "backend/cuda/internal/gradient_group.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace lora::cuda {
namespace {

constexpr const char* kFile = "wgrad_group";
constexpr int kLeastSteps = 4;  // of k in a block; shorter ones would be all beginning and end
constexpr int kBlocksPerProcessor = 4;

// By GradientTile.
constexpr std::array kTiles = {kGradient32x128, kGradient128x32, kGradient64x64};
constexpr int kDepth = kTiles[0].depth;
constexpr size_t kTileBytes = sizeof(float) * 32 * 128;
static_assert(std::all_of(kTiles.begin(), kTiles.end(), [](const ProductTile& tile) {
    return tile.depth == kDepth && tile.threads() == 128 &&
           sizeof(float) * static_cast<size_t>(tile.rows) * static_cast<size_t>(tile.columns) ==
               kTileBytes;
}));

GradientTile tile_for(int out, int in) {
    if (out <= 32) return GradientTile::k32x128;
    return in <= 32 ? GradientTile::k128x32 : GradientTile::k64x64;
}

int num_tiles(const GroupedGradient& p) {
    const ProductTile& tile = kTiles[static_cast<size_t>(p.tile)];
    return narrow<int>(ceil_div(p.out, tile.rows) * ceil_div(p.in, tile.columns));
}
int num_steps(const GroupedGradient& p) { return narrow<int>(ceil_div(p.points, kDepth)); }

int64_t most_blocks(const DeviceInfo& d) {
    return int64_t{kBlocksPerProcessor} * d.num_multiprocessors;
}

WeightGradientGroup group_of(const Launch& launch) {
    WeightGradientGroup group;
    LORA_CHECK(launch.args.size() == sizeof(group), "not a group of gradients");
    std::memcpy(&group, launch.args.data(), sizeof(group));
    return group;
}

// The steps of k in a block: as few as give no more blocks than run side by side.
int steps_of_block(const DeviceInfo& d, const WeightGradientGroup& group) {
    int longest = 1;
    for (int i = 0; i < group.count; ++i) {
        longest = std::max(longest, num_steps(group.problem[i]));
    }
    int steps = kLeastSteps;
    while (steps < longest) {
        int64_t blocks = 0;
        for (int i = 0; i < group.count; ++i) {
            const GroupedGradient& p = group.problem[i];
            blocks += num_tiles(p) * ceil_div(num_steps(p), steps);
        }
        if (blocks <= most_blocks(d)) break;
        steps += (steps + 7) / 8;
    }
    return std::min(steps, longest);
}

}  // namespace

bool is_grouped_gradient(const DeviceInfo& d, const ProductShape& shape) {
    // Of a whole weight, it fills a card alone, with kernels that the group has not.
    constexpr int64_t kWhole = 128;
    const bool whole = d.compute_major == 9 && shape.m >= kWhole && shape.n >= kWhole;
    return shape.kind == ProductKind::kGradientPlain && shape.vector &&
           shape.dtype != DType::kF32 && d.compute_major >= 8 && !whole;
}

bool is_thin_gradient(const DeviceInfo& d, const ProductShape& shape) {
    constexpr int64_t kMostOuts = 16;
    return shape.kind == ProductKind::kGradientPatches && shape.m <= kMostOuts &&
           shape.channels % 8 == 0 && shape.dtype != DType::kF32 && d.compute_major >= 8;
}

bool is_gradient_group(const Launch& launch) { return launch.file == kFile; }

Launch single_gradient(const WeightGradientArgs& args, DType dtype) {
    WeightGradientGroup group;
    group.count = 1;
    GroupedGradient& p = group.problem[0];
    p.dy = args.dy;
    p.x = args.x;
    p.dst = args.dst;
    p.out = args.out;
    p.in = args.in;
    p.points = args.points;
    p.accumulate = narrow<uint16_t>(args.accumulate);
    p.half = narrow<uint16_t>(args.half);
    p.by_taps = narrow<uint16_t>(args.by_taps);
    p.alpha = args.alpha;
    p.row_taps = narrow<uint16_t>(args.row_taps);
    p.row_outs = narrow<uint16_t>(args.row_outs);
    p.tile = tile_for(args.out, args.in);
    Launch launch;
    launch.file = kFile;
    launch.kernel = std::string("wgrad_group_") + suffix_of(dtype);
    launch.block.x = 128;
    for (const ProductTile& tile : kTiles) {
        launch.shared_bytes =
            std::max(launch.shared_bytes, static_cast<uint32_t>(tile.shared_bytes()));
    }
    launch.set_args(group);
    return launch;
}

bool join_gradients(Launch& launch, const Launch& other) {
    if (launch.kernel != other.kernel) return false;
    WeightGradientGroup group = group_of(launch);
    const WeightGradientGroup added = group_of(other);
    if (group.count + added.count > kMostGrouped) return false;
    std::copy_n(added.problem, added.count, group.problem + group.count);
    group.count += added.count;
    launch.set_args(group);
    return true;
}

size_t gradient_counter_bytes(const DeviceInfo& d) {
    return static_cast<size_t>(most_blocks(d)) * sizeof(unsigned);
}
size_t gradient_workspace_bytes(const DeviceInfo& d) {
    return static_cast<size_t>(round_up(static_cast<int64_t>(gradient_counter_bytes(d)), 256)) +
           static_cast<size_t>(most_blocks(d)) * kTileBytes;
}

SplitRoom::SplitRoom(const DeviceInfo& d, DevicePtr workspace)
    : arrivals_(workspace),
      partial_(workspace + static_cast<DevicePtr>(
                               round_up(static_cast<int64_t>(gradient_counter_bytes(d)), 256))),
      end_(workspace + gradient_workspace_bytes(d)) {}

void SplitRoom::take(int64_t tiles, size_t tile_bytes, SplitSum& split) {
    if (split.count == 1) return;
    split.arrivals = reinterpret_cast<unsigned*>(arrivals_);
    split.partial = reinterpret_cast<float*>(partial_);
    arrivals_ += static_cast<size_t>(tiles) * sizeof(unsigned);
    partial_ += static_cast<size_t>(tiles * split.count) * tile_bytes;
    LORA_CHECK(partial_ <= end_, "partial sums beyond their room");
}

void finish_gradients(const DeviceInfo& d, DevicePtr workspace, Launch& launch) {
    WeightGradientGroup group = group_of(launch);
    const int steps = steps_of_block(d, group);
    SplitRoom room(d, workspace);
    int blocks = 0;
    for (int i = 0; i < group.count; ++i) {
        GroupedGradient& p = group.problem[i];
        const int tiles = num_tiles(p);
        p.points_per_split = steps * kDepth;
        p.split.count = narrow<int>(ceil_div(num_steps(p), steps));
        room.take(tiles, kTileBytes, p.split);
        group.first_block[i] = blocks;
        blocks += tiles * p.split.count;
    }
    group.first_block[group.count] = blocks;
    launch.grid = {narrow<uint32_t>(blocks), 1, 1};
    launch.set_args(group);
}

}  // namespace lora::cuda
