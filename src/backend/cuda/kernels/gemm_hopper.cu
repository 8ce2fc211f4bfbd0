// Products on Hopper's tensor cores; gemm_hopper.cuh says what they need and how they are launched.
// Names: gemm_hopper_<tile>_<gather>_<b>_<type>; b is nk (k contiguous) or kn.
#include "backend/cuda/kernels/gemm_hopper.cuh"

#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define LORA_HOPPER_BODY(...) lora::cuda::gemm_hopper<__VA_ARGS__>(p)
#else
#define LORA_HOPPER_BODY(...) static_cast<void>(p)  // never launched there
#endif

// clang-format off
#define LORA_HOPPER(tile, columns, warpgroups, stages, blocks, gather, kind, b, contiguous, suffix, T) \
    extern "C" __global__ void __launch_bounds__(warpgroups * 128, blocks)                            \
        gemm_hopper_##tile##_##gather##_##b##_##suffix(                                               \
            const __grid_constant__ lora::cuda::ProductArgs p) { \
        LORA_HOPPER_BODY(T, lora::cuda::Gather::kind, contiguous, warpgroups, columns, stages);       \
    }

#define LORA_HOPPER_NK(tile, columns, warpgroups, stages, blocks, suffix, T)                            \
    LORA_HOPPER(tile, columns, warpgroups, stages, blocks, plain, kPlain, nk, true, suffix, T)          \
    LORA_HOPPER(tile, columns, warpgroups, stages, blocks, forward, kForward, nk, true, suffix, T)
#define LORA_HOPPER_KN(tile, columns, warpgroups, stages, blocks, suffix, T)                            \
    LORA_HOPPER(tile, columns, warpgroups, stages, blocks, plain, kPlain, kn, false, suffix, T)         \
    LORA_HOPPER(tile, columns, warpgroups, stages, blocks, backward, kBackward, kn, false, suffix, T)

#define LORA_HOPPER_TILES(suffix, T)                          \
    LORA_HOPPER_NK(64x64, 64, 1, 4, 3, suffix, T)             \
    LORA_HOPPER_KN(64x64, 64, 1, 4, 3, suffix, T)             \
    LORA_HOPPER_NK(128x64, 64, 2, 4, 2, suffix, T)            \
    LORA_HOPPER_KN(128x64, 64, 2, 4, 2, suffix, T)            \
    LORA_HOPPER_NK(128x128, 128, 2, 3, 2, suffix, T)          \
    LORA_HOPPER_KN(128x128, 128, 2, 3, 2, suffix, T)          \
    LORA_HOPPER_NK(128x128_deep, 128, 2, 6, 1, suffix, T)     \
    LORA_HOPPER_KN(128x128_deep, 128, 2, 6, 1, suffix, T)     \
    LORA_HOPPER_NK(256x64, 64, 4, 5, 1, suffix, T)            \
    LORA_HOPPER_KN(256x64, 64, 4, 5, 1, suffix, T)            \
    LORA_HOPPER_NK(256x128, 128, 4, 4, 1, suffix, T)          \
    LORA_HOPPER_KN(256x128, 128, 4, 4, 1, suffix, T)          \
    LORA_HOPPER_NK(256x160, 160, 4, 4, 1, suffix, T)          \
    LORA_HOPPER_KN(256x160, 160, 4, 4, 1, suffix, T)          \
    LORA_HOPPER_NK(128x256, 256, 2, 4, 1, suffix, T)
// clang-format on

LORA_HOPPER_TILES(bf16, __nv_bfloat16)
LORA_HOPPER_TILES(f16, __half)
