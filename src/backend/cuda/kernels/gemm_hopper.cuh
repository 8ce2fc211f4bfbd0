// The product of product_args.h on Hopper's wgmma. One warp has tiles of A and B copied into
// 128-byte swizzled shared memory (A may be windows of an image), several steps ahead; the others,
// in warpgroups of 64 rows a time, multiply what has arrived.
// Types   bf16 or f16 in, fp32 accumulated, the same type out.
// A second product over a thin A2 comes first, so that its sums can be scaled where they are; or
// the block makes A2 of A on the way (a LoRA's first product), and the second product comes last.
// Needs   strides and addresses in multiples of 8 elements; for a gathered A `channels` in
//         multiples of 64, and for its backward form stride 1.
// Launch  grid {tiles of m * tiles of n, 1, splits}, Tile::kThreads threads, Tile::kSharedBytes of
//         dynamic shared memory.
// Cases   tests/support/cases/product.cpp (wide ones), lora_bench op linear, conv2d.
#pragma once

#include "backend/cuda/kernels/hopper_tile.cuh"
#include "backend/cuda/kernels/split_sum.cuh"

namespace lora::cuda {

enum class Gather { kPlain, kForward, kBackward };

// Eight neighbours of one row: alpha * sum + bias + addend, rounded once.
template <typename T>
__device__ __forceinline__ void store_eight(const ProductArgs& p, const float* sums, int m, int n) {
    float v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = p.alpha * sums[j];
    const int64_t at = static_cast<int64_t>(m) * p.ldd + n;
    if (p.bias != nullptr) {
        const auto bias = *reinterpret_cast<const Vector<T, 8>*>(static_cast<const T*>(p.bias) + n);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] += to_float(bias.at[j]);
    }
    if (p.addend != nullptr) {
        const auto add =
            *reinterpret_cast<const Vector<T, 8>*>(static_cast<const T*>(p.addend) + at);
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] += to_float(add.at[j]);
    }
    Vector<T, 8> result;
#pragma unroll
    for (int j = 0; j < 8; ++j) result.at[j] = from_float<T>(v[j]);
    *reinterpret_cast<Vector<T, 8>*>(static_cast<T*>(p.dst) + at) = result;
}

// What one block computes: its place in the result, and its steps along k.
template <typename Tile>
struct HopperBlock {
    BlockPlace place;
    int first_row;
    int first_column;
    int begin;   // of k
    int count2;  // steps of the second product, which come first
    int count;   // all steps

    __device__ __forceinline__ explicit HopperBlock(const ProductArgs& p) : place(place_in_grid()) {
        // Neighbouring blocks share columns of B in groups of eight row tiles, for the L2 cache.
        constexpr int kGroup = 8;
        const int row_tiles = (p.m + Tile::kRows - 1) / Tile::kRows;
        const int column_tiles = (p.n + Tile::kColumns - 1) / Tile::kColumns;
        const int in_group = kGroup * column_tiles;
        const int first_tile = place.tile / in_group * kGroup;
        const int group_rows = min(row_tiles - first_tile, kGroup);
        const int within = place.tile % in_group;
        first_row = (first_tile + within % group_rows) * Tile::kRows;
        first_column = within / group_rows * Tile::kColumns;
        begin = place.split * p.k_per_split;
        const int end = min(p.k, begin + p.k_per_split);
        count2 = !Tile::kMakesMid && p.k2 > 0 && place.split == 0
                     ? (p.k2 + Tile::kDepth - 1) / Tile::kDepth
                     : 0;
        count = count2 + (end - begin + Tile::kDepth - 1) / Tile::kDepth;
    }
};

template <Gather kGather, bool kDepthContiguous, typename Tile>
__device__ __forceinline__ void copy_b(
    uint32_t dst, const TensorMap& map, uint32_t barrier, int first_column, int k, int tap) {
    if constexpr (kDepthContiguous) {
        copy_tile_2d(dst, map, barrier, k, first_column);
    } else {
#pragma unroll
        for (int j = 0; j < Tile::kColumnBlocks; ++j) {
            const uint32_t to = dst + j * (64 * Tile::kRowBytes);
            if constexpr (kGather == Gather::kPlain) {
                copy_tile_2d(to, map, barrier, first_column + j * 64, k);
            } else {
                copy_tile_3d(to, map, barrier, first_column + j * 64, tap, k);
            }
        }
    }
}

// The copying thread: fills stages in turn, each when all warps are done with what it held.
template <Gather kGather, bool kDepthContiguous, typename Tile>
__device__ __forceinline__ void copy_steps(const HopperProductArgs& args,
                                           const HopperBlock<Tile>& block,
                                           uint32_t base,
                                           uint32_t arrived,
                                           uint32_t free) {
    const ProductArgs& p = args.product;
    // Bytes that arrive, zeros for what is outside included.
    constexpr uint32_t kBBytes =
        kDepthContiguous ? Tile::kColumns * Tile::kRowBytes : Tile::kBBytes;
    constexpr uint32_t kBytes =
        Tile::kABytes + kBBytes + (kDepthContiguous ? Tile::kMidBytes / 2 : Tile::kMidBytes);
    WindowPlace window{};
    int tap = 0;
    int tap_y = 0;
    int tap_x = 0;
    int channel = block.begin;
    if constexpr (kGather != Gather::kPlain) {
        const int out_x = block.first_row % p.out_width;
        const int rest = block.first_row / p.out_width;
        const int out_y = rest % p.out_height;
        window = {rest / p.out_height, out_y * p.stride - p.pad_top, out_x * p.stride - p.pad_left};
        tap = block.begin / p.channels;
        channel = block.begin - tap * p.channels;
        tap_y = tap / p.kernel_width;
        tap_x = tap - tap_y * p.kernel_width;
    }
    // Where the block makes A2, a last step has B2 alone.
    for (int i = 0; i < block.count + (Tile::kMakesMid ? 1 : 0); ++i) {
        const int stage = i % Tile::kStages;
        const uint32_t a = base + stage * Tile::kStageBytes;
        const uint32_t b = a + Tile::kABytes;
        const uint32_t barrier = arrived + stage * 8;
        if (i >= Tile::kStages) barrier_wait(free + stage * 8, (i / Tile::kStages - 1) % 2);
        if (Tile::kMakesMid && i == block.count) {
            barrier_expect(barrier, kBBytes);
            copy_b<kGather, kDepthContiguous, Tile>(b, args.b2, barrier, block.first_column, 0, 0);
            return;
        }
        barrier_expect(barrier, kBytes);
        if (i < block.count2) {
            const int k = i * Tile::kDepth;
            copy_tile_2d(a, args.a2, barrier, k, block.first_row);
            copy_b<kGather, kDepthContiguous, Tile>(b, args.b2, barrier, block.first_column, k, 0);
            continue;
        }
        if constexpr (kGather == Gather::kPlain) {
            copy_tile_2d(a, args.a, barrier, channel, block.first_row);
            copy_b<kGather, kDepthContiguous, Tile>(
                b, args.b, barrier, block.first_column, channel, 0);
            if constexpr (Tile::kMakesMid) {
                const int x = kDepthContiguous ? channel : 0;
                copy_tile_2d(b + Tile::kBBytes, args.mid, barrier, x, channel - x);
            }
            channel += Tile::kDepth;
        } else {
            // Backward the same window is looked at from its other end.
            const bool forward = kGather == Gather::kForward;
            copy_window_tile(a,
                             args.a,
                             barrier,
                             window,
                             channel,
                             forward ? tap_y : p.kernel_height - 1 - tap_y,
                             forward ? tap_x : p.kernel_width - 1 - tap_x);
            const int k = kDepthContiguous ? tap * p.channels + channel : channel;
            copy_b<kGather, kDepthContiguous, Tile>(b, args.b, barrier, block.first_column, k, tap);
            channel += Tile::kDepth;
            if (channel < p.channels) continue;
            channel = 0;
            ++tap;
            if (++tap_x == p.kernel_width) {
                tap_x = 0;
                ++tap_y;
            }
        }
    }
}

// The sums of one warpgroup: row tiles, instructions side by side, registers.
template <typename Tile>
struct HopperSums {
    static constexpr int kStep = Tile::kColumns;  // columns of one instruction
    static constexpr int kMidCount = Tile::kMakesMid ? 16 : 0;
    static constexpr int kOfTile = kStep / 2 + kMidCount;
    static constexpr int kCount = Tile::kRowTiles * kOfTile;
    float at[Tile::kRowTiles][kOfTile];  // those of A2 come last
};

template <typename T, bool kDepthContiguous, typename Tile>
__device__ __forceinline__ void multiply_steps(const HopperBlock<Tile>& block,
                                               HopperSums<Tile>& sums,
                                               float alpha2,
                                               uint32_t base,
                                               uint32_t arrived,
                                               uint32_t free) {
    constexpr int kStep = HopperSums<Tile>::kStep;
    const int warpgroup = static_cast<int>(threadIdx.x) / 128;
    const bool speaks = threadIdx.x % 32 == 0;
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
        for (int j = 0; j < HopperSums<Tile>::kOfTile; ++j) sums.at[r][j] = 0.0F;
    }
    for (int i = 0; i < block.count; ++i) {
        const int stage = i % Tile::kStages;
        const uint32_t a =
            base + stage * Tile::kStageBytes + warpgroup * (Tile::kRowTiles * 64 * Tile::kRowBytes);
        const uint32_t b = base + stage * Tile::kStageBytes + Tile::kABytes;
        barrier_wait(arrived + stage * 8, i / Tile::kStages % 2);
        if (!Tile::kMakesMid && i == block.count2 && i > 0) {
            // The second product is done; from here on the first is added to it.
            wgmma_wait<0>();
#pragma unroll
            for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
                for (int j = 0; j < kStep / 2; ++j) sums.at[r][j] *= alpha2;
            }
        }
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < Tile::kDepth / 16; ++k) {
            const uint64_t b_tile = kDepthContiguous
                                        ? tile_descriptor(b + k * 32, 16, 1024)
                                        : tile_descriptor(b + k * (16 * 128), 64 * 128, 1024);
#pragma unroll
            for (int r = 0; r < Tile::kRowTiles; ++r) {
                const uint64_t a_tile =
                    tile_descriptor(a + r * (64 * Tile::kRowBytes) + k * 32, 16, 1024);
                constexpr int kTransposed = kDepthContiguous ? 0 : 1;
                wgmma<T, kStep, kTransposed>(sums.at[r], a_tile, b_tile, i + k);
                if constexpr (Tile::kMakesMid) {
                    const uint32_t at = b + Tile::kBBytes + k * (kDepthContiguous ? 32 : 16 * 128);
                    wgmma<T, 32, kTransposed>(
                        sums.at[r] + kStep / 2, a_tile, tile_descriptor(at, 16, 1024), i + k);
                }
            }
        }
        wgmma_commit();
        wgmma_wait<1>();
        if (i > 0 && speaks) barrier_arrive(free + (i - 1) % Tile::kStages * 8);
    }
    wgmma_wait<0>();
}

// Leaves A2 of this block's rows in memory and adds alpha2 * A2 B2 to the sums; `b2`: its tile.
template <typename T, bool kDepthContiguous, typename Tile>
__device__ __forceinline__ void add_second(const ProductArgs& p,
                                           const HopperBlock<Tile>& block,
                                           HopperSums<Tile>& sums,
                                           uint32_t b2,
                                           bool whole) {
    constexpr int kStep = HopperSums<Tile>::kStep;
    constexpr int kPairs = HopperSums<Tile>::kMidCount / 2;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;
    uint32_t held[Tile::kRowTiles][kPairs / 4][4];  // by 16 columns: A2 as an operand
    const float inverse = p.alpha2 == 0 ? 1.0F : 1.0F / p.alpha2;
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r) {
        const int row =
            block.first_row + warp / 4 * (Tile::kRowTiles * 64) + r * 64 + warp % 4 * 16 + lane / 4;
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
            Vector<T, 2> pair;
            pair.at[0] = from_float<T>(p.alpha_mid * sums.at[r][kStep / 2 + 2 * i]);
            pair.at[1] = from_float<T>(p.alpha_mid * sums.at[r][kStep / 2 + 2 * i + 1]);
            memcpy(&held[r][i / 4][i % 4], &pair, sizeof(pair));
            const int m = row + i % 2 * 8;
            const int n = i / 2 * 8 + lane % 4 * 2;
            if (whole && block.first_column == 0 && m < p.m && n < p.k2) {
                T* to = static_cast<T*>(p.mid) + static_cast<int64_t>(m) * p.k2 + n;
                *reinterpret_cast<Vector<T, 2>*>(to) = pair;
            }
        }
#pragma unroll
        for (int j = 0; j < kStep / 2; ++j) sums.at[r][j] *= inverse;
    }
    if (p.alpha2 == 0) return;
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < kPairs / 4; ++k) {
        const uint64_t tile = kDepthContiguous
                                  ? tile_descriptor(b2 + k * 32, 16, 1024)
                                  : tile_descriptor(b2 + k * (16 * 128), 64 * 128, 1024);
#pragma unroll
        for (int r = 0; r < Tile::kRowTiles; ++r) {
            wgmma_held<T, kStep, kDepthContiguous ? 0 : 1>(sums.at[r], held[r][k], tile);
        }
    }
    wgmma_commit();
    wgmma_wait<0>();
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r) {
#pragma unroll
        for (int j = 0; j < kStep / 2; ++j) sums.at[r][j] *= p.alpha2;
    }
}

// The result goes through shared memory so that rows are written in 16-byte pieces.
template <typename T, typename Tile>
__device__ __forceinline__ void store_hopper(const ProductArgs& p,
                                             const HopperBlock<Tile>& block,
                                             const HopperSums<Tile>& sums,
                                             float* staging) {
    constexpr int kStride = Tile::kStagingStride;
    constexpr int kPieces = Tile::kColumns / 8;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int warp = static_cast<int>(threadIdx.x) / 32;  // 16 rows of each row tile
    float* own = staging + warp * 16 * kStride;
    const int first_row = block.first_row + warp / 4 * (Tile::kRowTiles * 64) + warp % 4 * 16;
#pragma unroll
    for (int r = 0; r < Tile::kRowTiles; ++r) {
        stage_rows<Tile>(own, sums.at[r]);
        for (int item = lane; item < 16 * kPieces; item += 32) {
            const int m = first_row + r * 64 + item / kPieces;
            const int n = block.first_column + item % kPieces * 8;
            if (m >= p.m || n >= p.n) continue;
            store_eight<T>(p, own + item / kPieces * kStride + item % kPieces * 8, m, n);
        }
    }
}

template <typename T, Gather kGather, bool kDepthContiguous, typename Tile>
__device__ __forceinline__ void gemm_hopper(const HopperProductArgs& args) {
    extern __shared__ uint8_t shared_raw[];
    const ProductArgs& p = args.product;
    const uint32_t raw = shared_address(shared_raw);
    const uint32_t base = (raw + 1023U) & ~1023U;
    const uint32_t arrived = base + Tile::kPipelineBytes;
    const uint32_t free = arrived + Tile::kStages * 8;
    start_pipeline<Tile>(arrived, free);
    const HopperBlock<Tile> block(p);
    if (threadIdx.x >= Tile::kMultiplyThreads) {
        if constexpr (Tile::kTradesRegisters) registers_for_copying();
        if (threadIdx.x == Tile::kMultiplyThreads) {
            copy_steps<kGather, kDepthContiguous, Tile>(args, block, base, arrived, free);
        }
    } else {
        if constexpr (Tile::kTradesRegisters) registers_for_multiplying();
        const auto wait = [] { barrier_among<Tile::kMultiplyThreads>(); };
        HopperSums<Tile> sums;
        multiply_steps<T, kDepthContiguous, Tile>(block, sums, p.alpha2, base, arrived, free);
        const bool whole = join_splits<HopperSums<Tile>::kCount>(
            &sums.at[0][0], p.split, block.place, Tile::kMultiplyThreads, wait);
        if constexpr (Tile::kMakesMid) {
            const int stage = block.count % Tile::kStages;
            barrier_wait(arrived + stage * 8, block.count / Tile::kStages % 2);
            // Blocks without the whole sum do it for nothing: behind a branch that ptxas cannot see
            // to be the same for all threads, it would run every wgmma of the kernel one by one.
            add_second<T, kDepthContiguous, Tile>(
                p, block, sums, base + stage * Tile::kStageBytes + Tile::kABytes, whole);
        }
        wait();  // nobody reads the stages any more
        if (whole) {
            store_hopper<T, Tile>(
                p, block, sums, reinterpret_cast<float*>(shared_raw + (base - raw)));
        }
    }
}

}  // namespace lora::cuda
