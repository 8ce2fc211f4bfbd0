// Products on Hopper's tensor cores; gemm_hopper.cuh says what they need and how they are launched.
// Names: gemm_hopper_<tile>_<gather>_<b>_<type>; b is nk (k contiguous) or kn.
#include "backend/cuda/kernels/gemm_hopper.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LORA_HOPPER_BODY(...) lora::cuda::gemm_hopper<__VA_ARGS__>(args)
#else
#define LORA_HOPPER_BODY(...) static_cast<void>(args)  // never launched there
#endif

namespace lora::cuda {

// Warpgroups, rows, columns, stages; product_tiles.cpp has the same.
using Tile64x64 = HopperTile<1, 64, 64, 6>;
using Tile128x64 = HopperTile<2, 128, 64, 4>;
using Tile128x128 = HopperTile<2, 128, 128, 3>;
using Tile128x160 = HopperTile<2, 128, 160, 5>;
using Tile256x128 = HopperTile<2, 256, 128, 4>;
using Tile256x160 = HopperTile<2, 256, 160, 4>;
using Lora64x64 = HopperTile<1, 64, 64, 4, true>;
using Lora128x64 = HopperTile<2, 128, 64, 3, true>;
using Lora128x128 = HopperTile<2, 128, 128, 5, true>;
using Lora128x160 = HopperTile<2, 128, 160, 4, true>;
using Lora256x128 = HopperTile<2, 256, 128, 4, true>;
using Lora256x160 = HopperTile<2, 256, 160, 3, true>;

}  // namespace lora::cuda

#define LORA_HOPPER(tile, name, blocks, gather, kind, b, contiguous, suffix, T)            \
    extern "C" __global__ void __launch_bounds__(lora::cuda::tile##name::kThreads, blocks) \
        gemm_hopper_##name##_##gather##_##b##_##suffix(                                    \
            const __grid_constant__ lora::cuda::HopperProductArgs args) {                  \
        LORA_HOPPER_BODY(T, lora::cuda::Gather::kind, contiguous, lora::cuda::tile##name); \
    }
#define LORA_HOPPER_KINDS(name, blocks, suffix, T)                          \
    LORA_HOPPER(Tile, name, blocks, plain, kPlain, nk, true, suffix, T)     \
    LORA_HOPPER(Tile, name, blocks, plain, kPlain, kn, false, suffix, T)    \
    LORA_HOPPER(Lora, name, blocks, lora, kPlain, nk, true, suffix, T)      \
    LORA_HOPPER(Lora, name, blocks, lora, kPlain, kn, false, suffix, T)     \
    LORA_HOPPER(Tile, name, blocks, forward, kForward, nk, true, suffix, T) \
    LORA_HOPPER(Tile, name, blocks, backward, kBackward, kn, false, suffix, T)
#define LORA_HOPPER_TILES(suffix, T)         \
    LORA_HOPPER_KINDS(64x64, 2, suffix, T)   \
    LORA_HOPPER_KINDS(128x64, 2, suffix, T)  \
    LORA_HOPPER_KINDS(128x128, 1, suffix, T) \
    LORA_HOPPER_KINDS(128x160, 1, suffix, T) \
    LORA_HOPPER_KINDS(256x128, 1, suffix, T) \
    LORA_HOPPER_KINDS(256x160, 1, suffix, T)
LORA_HOPPER_TILES(bf16, __nv_bfloat16)
LORA_HOPPER_TILES(f16, __half)
