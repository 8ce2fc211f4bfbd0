// Gradients of many linear layers in one launch: wgrad.cuh's product for every problem of the
// table.
//   wgrad_group_<bf16|f16>   grid {first_block[count]}, 128 threads, kGroupSharedBytes
// Cases   tests/support/cases/product.cpp: gradients_*.
#include "backend/cuda/kernels/wgrad.cuh"

namespace lora::cuda {

template <typename T>
__device__ __forceinline__ void weight_gradient_group(const WeightGradientGroup& group) {
    const int block = static_cast<int>(blockIdx.x);
    int i = 0;
    while (block >= group.first_block[i + 1]) ++i;
    const GroupedGradient& problem = group.problem[i];
    WeightGradientArgs p;
    p.dy = problem.dy;
    p.x = problem.x;
    p.dst = problem.dst;
    p.split = problem.split;
    p.out = problem.out;
    p.in = problem.in;
    p.points = problem.points;
    p.points_per_split = problem.points_per_split;
    p.accumulate = problem.accumulate;
    p.half = problem.half;
    p.by_taps = problem.by_taps;
    p.alpha = problem.alpha;
    p.row_taps = problem.row_taps;
    p.row_outs = problem.row_outs;
    const int within = block - group.first_block[i];
    const int tiles = (group.first_block[i + 1] - group.first_block[i]) / p.split.count;
    const BlockPlace place{within % tiles, tiles, within / tiles};
    switch (problem.tile) {
        case GradientTile::k32x128:
            weight_gradient<T, kGradient32x128, false, false>(p, place);
            return;
        case GradientTile::k128x32:
            weight_gradient<T, kGradient128x32, false, false>(p, place);
            return;
        case GradientTile::k64x64:
            weight_gradient<T, kGradient64x64, false, false>(p, place);
            return;
    }
}

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_WGRAD_BODY(T) lora::cuda::weight_gradient_group<T>(group)
#else
#define LORA_WGRAD_BODY(T) static_cast<void>(group)  // never launched there
#endif

#define LORA_WGRAD_GROUP(suffix, T)                                                           \
    extern "C" __global__ void __launch_bounds__(128, 4)                                      \
        wgrad_group_##suffix(const __grid_constant__ lora::cuda::WeightGradientGroup group) { \
        LORA_WGRAD_BODY(T);                                                                   \
    }
LORA_WGRAD_GROUP(bf16, __nv_bfloat16)
LORA_WGRAD_GROUP(f16, __half)
