// The end of a product whose sum over k is split over blocks: each leaves its sums in
// memory, and the block that comes last adds them all up in the order of the splits, so that the
// result does not depend on who was last. No second launch, no atomics on results.
// Moves   the sums of every split once out and once in, in the order of the threads' registers.
#pragma once

#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

// Which part of a product a block computes: a tile of the result, and a part of the sum over k.
struct BlockPlace {
    int tile;
    int tiles;
    int split;
};
__device__ __forceinline__ BlockPlace place_in_grid() {
    return {
        static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), static_cast<int>(blockIdx.z)};
}

// sums += those of the splits, four of which are on their way at a time: with few sums a thread
// would otherwise wait for each. (With many it costs registers: 0.6 ms of a step's linear layers.)
template <int kCount>
__device__ __forceinline__ void add_splits_ahead(
    float* sums, const float* tile, int count, int64_t stride, int threads) {
    constexpr int kAhead = 4;
#pragma unroll 1
    for (int s = 0; s < count; s += kAhead) {
        float4 v[kAhead][kCount / 4];
#pragma unroll
        for (int a = 0; a < kAhead; ++a) {
#pragma unroll
            for (int i = 0; i < kCount; i += 4) {
                if (s + a >= count) continue;
                v[a][i / 4] =
                    __ldcg(reinterpret_cast<const float4*>(tile + (s + a) * stride + i * threads));
            }
        }
#pragma unroll
        for (int a = 0; a < kAhead; ++a) {
#pragma unroll
            for (int i = 0; i < kCount; i += 4) {
                if (s + a >= count) continue;
                sums[i] += v[a][i / 4].x;
                sums[i + 1] += v[a][i / 4].y;
                sums[i + 2] += v[a][i / 4].z;
                sums[i + 3] += v[a][i / 4].w;
            }
        }
    }
}

// True in the block that has the whole sum of its tile in `sums` now, false in the others, which
// are done. `threads` threads, from the first on, must call it; `wait` is a barrier among them.
template <int kCount, typename Wait>
__device__ __forceinline__ bool join_splits(
    float* sums, const SplitSum& split, const BlockPlace& place, int threads, Wait wait) {
    static_assert(kCount % 4 == 0);
    if (split.count == 1) return true;
    const int thread = static_cast<int>(threadIdx.x);
    const int64_t stride = static_cast<int64_t>(place.tiles) * threads * kCount;  // of one split
    float* tile = split.partial + static_cast<int64_t>(place.tile) * threads * kCount + thread * 4;
    float* own = tile + place.split * stride;
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
        __stcg(reinterpret_cast<float4*>(own + i * threads),
               make_float4(sums[i], sums[i + 1], sums[i + 2], sums[i + 3]));
    }
    __threadfence();
    __shared__ unsigned before;
    wait();  // all threads have left theirs
    if (thread == 0) before = atomicAdd(split.arrivals + place.tile, 1U);
    wait();
    if (before + 1 != static_cast<unsigned>(split.count)) return false;
    if (thread == 0) split.arrivals[place.tile] = 0;  // for the next launch
    __threadfence();
#pragma unroll
    for (int i = 0; i < kCount; ++i) sums[i] = 0.0F;
    if constexpr (kCount <= 16) {
        add_splits_ahead<kCount>(sums, tile, split.count, stride, threads);
        return true;
    }
    for (int s = 0; s < split.count; ++s) {
        const float* from = tile + s * stride;
#pragma unroll
        for (int i = 0; i < kCount; i += 4) {
            const float4 v = __ldcg(reinterpret_cast<const float4*>(from + i * threads));
            sums[i] += v.x;
            sums[i + 1] += v.y;
            sums[i + 2] += v.z;
            sums[i + 3] += v.w;
        }
    }
    return true;
}
template <int kCount>
__device__ __forceinline__ bool join_splits(float* sums,
                                            const SplitSum& split,
                                            const BlockPlace& place) {
    return join_splits<kCount>(
        sums, split, place, static_cast<int>(blockDim.x), [] { __syncthreads(); });
}

}  // namespace lora::cuda
