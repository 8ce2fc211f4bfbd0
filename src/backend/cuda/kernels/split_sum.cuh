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

// True in the block that has the whole sum of its tile in `sums` now, false in the others,
// which are done. All threads must call it.
template <int kCount>
__device__ __forceinline__ bool join_splits(float* sums,
                                            const SplitSum& split,
                                            const BlockPlace& place) {
    static_assert(kCount % 4 == 0);
    if (split.count == 1) return true;
    const int64_t threads = blockDim.x;
    const int64_t stride = place.tiles * threads * kCount;  // floats of one split
    float* tile = split.partial + (place.tile * threads * kCount + threadIdx.x * 4);
    float* own = tile + place.split * stride;
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
        __stcg(reinterpret_cast<float4*>(own + i * threads),
               make_float4(sums[i], sums[i + 1], sums[i + 2], sums[i + 3]));
    }
    __threadfence();
    __shared__ unsigned before;
    __syncthreads();  // all threads have left theirs
    if (threadIdx.x == 0) before = atomicAdd(split.arrivals + place.tile, 1U);
    __syncthreads();
    if (before + 1 != static_cast<unsigned>(split.count)) return false;
    if (threadIdx.x == 0) split.arrivals[place.tile] = 0;  // for the next launch
    __threadfence();
#pragma unroll
    for (int i = 0; i < kCount; ++i) sums[i] = 0.0F;
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

}  // namespace lora::cuda
