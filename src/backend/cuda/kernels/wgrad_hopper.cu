// Gradients of whole weights on Hopper's wgmma: wgrad.cuh's product for results of many rows and
// columns, as a rebuilt weight's (LoHa, LoKr). Both operands lie with the points as rows and are
// multiplied transposed; x may be windows of an image, whose columns are (tap, channel).
//   wgrad_hopper_<rows>x128_<plain|patches>_<bf16|f16>
// Types   bf16 or f16 in, fp32 accumulated; fp32 or the operands' type out.
// Needs   out and in in multiples of 8, addresses of 16 bytes; patches: in multiples of 64.
// Launch  grid {tiles, 1, splits}, kThreads, kSharedBytes of dynamic shared memory.
// Cases   tests/support/cases/product.cpp: conv2d/trainable_tiles, linear/trainable_tiles.
#include "backend/cuda/kernels/hopper_tile.cuh"
#include "backend/cuda/kernels/wgrad.cuh"

namespace lora::cuda {

constexpr int kBlockBytes = 64 * 128;  // of a stage: 64 columns of an operand

template <bool kPatches, typename Tile>
__device__ __forceinline__ void copy_gradient_steps(const HopperGradientArgs& args,
                                                    const TilePosition& first,
                                                    int begin,
                                                    int count,
                                                    uint32_t base,
                                                    uint32_t arrived,
                                                    uint32_t free) {
    const WeightGradientArgs& p = args.gradient;
    int tap_y[Tile::kColumns / 64];
    int tap_x[Tile::kColumns / 64];
    int channel[Tile::kColumns / 64];
#pragma unroll
    for (int j = 0; j < Tile::kColumns / 64; ++j) {
        // Columns past the last tap are computed for nothing, from the last one's.
        const int column = min(first.column + j * 64, (p.taps - 1) * p.in + (p.in - 1) / 64 * 64);
        const int tap = kPatches ? column / p.in : 0;
        channel[j] = kPatches ? column - tap * p.in : first.column + j * 64;
        tap_y[j] = tap / p.kernel_width;
        tap_x[j] = tap - tap_y[j] * p.kernel_width;
    }
    for (int i = 0; i < count; ++i) {
        const int stage = i % Tile::kStages;
        const uint32_t a = base + stage * Tile::kStageBytes;
        const uint32_t barrier = arrived + stage * 8;
        if (i >= Tile::kStages) barrier_wait(free + stage * 8, (i / Tile::kStages - 1) % 2);
        barrier_expect(barrier, Tile::kStageBytes);
        const int point = begin + i * Tile::kDepth;
#pragma unroll
        for (int j = 0; j < Tile::kRows / 64; ++j) {
            copy_tile_2d(a + j * kBlockBytes, args.dy, barrier, first.row + j * 64, point);
        }
        WindowPlace window{};
        if constexpr (kPatches) {
            const int out_x = point % p.out_width;
            const int rest = point / p.out_width;
            const int out_y = rest % p.out_height;
            window = {
                rest / p.out_height, out_y * p.stride - p.pad_top, out_x * p.stride - p.pad_left};
        }
#pragma unroll
        for (int j = 0; j < Tile::kColumns / 64; ++j) {
            const uint32_t to = a + Tile::kABytes + j * kBlockBytes;
            if constexpr (kPatches) {
                copy_window_tile(to, args.x, barrier, window, channel[j], tap_y[j], tap_x[j]);
            } else {
                copy_tile_2d(to, args.x, barrier, channel[j], point);
            }
        }
    }
}

template <typename T, bool kPatches, typename Tile>
__device__ __forceinline__ void wgrad_hopper(const HopperGradientArgs& args) {
    extern __shared__ uint8_t shared_raw[];
    const WeightGradientArgs& p = args.gradient;
    const uint32_t base = (shared_address(shared_raw) + 1023U) & ~1023U;
    const uint32_t arrived = base + Tile::kStages * Tile::kStageBytes;
    const uint32_t free = arrived + Tile::kStages * 8;
    start_pipeline<Tile>(arrived, free);
    const BlockPlace place = place_in_grid();
    const TilePosition first =
        tile_position(place.tile, p.out, p.in * p.taps, Tile::kRows, Tile::kColumns);
    const int begin = place.split * p.points_per_split;
    const int end = min(p.points, begin + p.points_per_split);
    const int count = (end - begin + Tile::kDepth - 1) / Tile::kDepth;
    if (threadIdx.x >= Tile::kMultiplyThreads) {
        if (threadIdx.x == Tile::kMultiplyThreads) {
            copy_gradient_steps<kPatches, Tile>(args, first, begin, count, base, arrived, free);
        }
        return;
    }
    constexpr int kOfTile = Tile::kColumns / 2;
    float sums[Tile::kRowTiles][kOfTile];
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
        for (int j = 0; j < kOfTile; ++j) sums[r][j] = 0.0F;
    }
    const int warpgroup = static_cast<int>(threadIdx.x) / 128;
    const bool speaks = threadIdx.x % 32 == 0;
    for (int i = 0; i < count; ++i) {
        const int stage = i % Tile::kStages;
        const uint32_t a =
            base + stage * Tile::kStageBytes + warpgroup * (Tile::kRowTiles * kBlockBytes);
        const uint32_t b = base + stage * Tile::kStageBytes + Tile::kABytes;
        barrier_wait(arrived + stage * 8, i / Tile::kStages % 2);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < Tile::kDepth / 16; ++k) {
            const uint64_t b_tile = tile_descriptor(b + k * (16 * 128), kBlockBytes, 1024);
#pragma unroll
            for (int r = 0; r < Tile::kRowTiles; ++r) {
                const uint64_t a_tile =
                    tile_descriptor(a + r * kBlockBytes + k * (16 * 128), kBlockBytes, 1024);
                wgmma<T, Tile::kColumns, 1, 1>(sums[r], a_tile, b_tile, i + k);
            }
        }
        wgmma_commit();
        wgmma_wait<1>();
        if (i > 0 && speaks) barrier_arrive(free + (i - 1) % Tile::kStages * 8);
    }
    wgmma_wait<0>();
    const auto wait = [] { barrier_among<Tile::kMultiplyThreads>(); };
    if (!join_splits<Tile::kRowTiles * kOfTile>(
            &sums[0][0], p.split, place, Tile::kMultiplyThreads, wait)) {
        return;
    }
    // Through shared memory, so that rows are written in long pieces.
    wait();  // nobody reads the stages any more
    constexpr int kStride = Tile::kStagingStride;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    float* own = reinterpret_cast<float*>(shared_raw + (base - shared_address(shared_raw))) +
                 warp * 16 * kStride;
    const int first_row = first.row + warp / 4 * (Tile::kRowTiles * 64) + warp % 4 * 16;
    const int columns = p.in * p.taps;
    const bool wide = p.half != 0 && (p.taps == 1 || p.by_taps != 0);
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r) {
        stage_rows<Tile>(own, sums[r]);
        if (wide) {
            for (int item = lane; item < 16 * (Tile::kColumns / 8); item += 32) {
                const int y = item / (Tile::kColumns / 8);
                const int x = item % (Tile::kColumns / 8) * 8;
                const int row = first_row + r * 64 + y;
                if (row >= p.out || first.column + x >= columns) continue;
                Vector<T, 8> piece;
#pragma unroll
                for (int e = 0; e < 8; ++e) {
                    piece.at[e] = from_float<T>(p.alpha * own[y * kStride + x + e]);
                }
                T* to =
                    static_cast<T*>(p.dst) + static_cast<int64_t>(row) * columns + first.column + x;
                *reinterpret_cast<Vector<T, 8>*>(to) = piece;
            }
            continue;
        }
        for (int item = lane; item < 16 * Tile::kColumns; item += 32) {
            const int y = item / Tile::kColumns;
            const int x = item % Tile::kColumns;
            store_gradient<T>(p, first_row + r * 64 + y, first.column + x, own[y * kStride + x]);
        }
    }
}

// product_tiles.cpp has the same.
using Gradient128x128 = HopperTile<2, 128, 128, 4>;
using Gradient256x128 = HopperTile<2, 256, 128, 4>;

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LORA_WGRAD_BODY(...) lora::cuda::wgrad_hopper<__VA_ARGS__>(args)
#else
#define LORA_WGRAD_BODY(...) static_cast<void>(args)  // never launched there
#endif

#define LORA_WGRAD(name, kind, patches, suffix, T)                                        \
    extern "C" __global__ void __launch_bounds__(lora::cuda::Gradient##name::kThreads, 1) \
        wgrad_hopper_##name##_##kind##_##suffix(                                          \
            const __grid_constant__ lora::cuda::HopperGradientArgs args) {                \
        LORA_WGRAD_BODY(T, patches, lora::cuda::Gradient##name);                          \
    }
#define LORA_WGRAD_TILES(suffix, T)               \
    LORA_WGRAD(128x128, plain, false, suffix, T)  \
    LORA_WGRAD(128x128, patches, true, suffix, T) \
    LORA_WGRAD(256x128, plain, false, suffix, T)  \
    LORA_WGRAD(256x128, patches, true, suffix, T)
LORA_WGRAD_TILES(bf16, __nv_bfloat16)
LORA_WGRAD_TILES(f16, __half)
