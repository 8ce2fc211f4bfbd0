// Gradients of weights: wgrad.cuh on tensor cores, and a plain version.
//   wgrad_<rows>x<columns>_patches_<bf16|f16>   x gathered from an image; plain ones:
//   wgrad_group.cu wgrad_elements_patches_<bf16|f16>   any size; the plain case is an image of one
//   row wgrad_simt_patches_<f32|f16>        the same without tensor cores, 64 x 64, 256 threads
#include "backend/cuda/kernels/simt_tile.cuh"
#include "backend/cuda/kernels/wgrad.cuh"

namespace lora::cuda {

template <typename T>
__device__ __forceinline__ void wgrad_simt(const WeightGradientArgs& p) {
    const BlockPlace place = place_in_grid();
    const int columns = p.in * p.taps;
    const int column_tiles = (columns + kSimtTile - 1) / kSimtTile;
    const int first_row = place.tile / column_tiles * kSimtTile;
    const int first_column = place.tile % column_tiles * kSimtTile;
    const int begin = place.split * p.points_per_split;
    const int end = min(p.points, begin + p.points_per_split);
    const T* dy = static_cast<const T*>(p.dy);
    const T* x = static_cast<const T*>(p.x);

    // A thread fetches the same column in every step.
    const int own = first_column + static_cast<int>(threadIdx.x) % kSimtTile;
    const int tap = own / p.in;
    const int channel = own - tap * p.in;
    const int from_y = tap / p.kernel_width - p.pad_top;
    const int from_x = tap % p.kernel_width - p.pad_left;
    const auto left_at = [&](int k, int i, int) {
        const int row = first_row + i;
        return row < p.out ? to_float(dy[static_cast<int64_t>(k) * p.out + row]) : 0.0F;
    };
    const auto right_at = [&](int k, int, int) {
        if (own >= columns) return 0.0F;
        const int rest = k / p.out_width;
        const int image = rest / p.out_height;
        const int from_row = rest % p.out_height * p.stride + from_y;
        const int from_column = k % p.out_width * p.stride + from_x;
        if (from_row < 0 || from_row >= p.height || from_column < 0 || from_column >= p.width) {
            return 0.0F;
        }
        const int64_t line = static_cast<int64_t>(image) * p.height + from_row;
        return to_float(x[(line * p.width + from_column) * p.in + channel]);
    };
    SimtSums sums;
    simt_product<true, true>(sums, begin, end, left_at, right_at);
    if (!join_splits<16>(&sums.at[0][0], p.split, place)) return;
#pragma unroll
    for (int i = 0; i < 16; ++i) {
        store_gradient<T>(p,
                          first_row + simt_row() + i / 4,
                          first_column + simt_column() + i % 4,
                          sums.at[i / 4][i % 4]);
    }
}

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_WGRAD_BODY(...) \
    lora::cuda::weight_gradient<__VA_ARGS__>(p, lora::cuda::place_in_grid())
#else
#define LORA_WGRAD_BODY(...) static_cast<void>(p)  // never launched there
#endif

#define LORA_WGRAD(name, tile, by_elements, suffix, T)                       \
    extern "C" __global__ void __launch_bounds__(lora::cuda::tile.threads(), \
                                                 lora::cuda::tile.blocks)    \
        wgrad_##name##_patches_##suffix(                                     \
            const __grid_constant__ lora::cuda::WeightGradientArgs p) {      \
        LORA_WGRAD_BODY(T, lora::cuda::tile, true, by_elements);             \
    }
#define LORA_WGRAD_TILES(suffix, T)                       \
    LORA_WGRAD(32x128, kGradient32x128, false, suffix, T) \
    LORA_WGRAD(64x64, kGradient64x64, false, suffix, T)   \
    LORA_WGRAD(elements, kGradientElements, true, suffix, T)
LORA_WGRAD_TILES(bf16, __nv_bfloat16)
LORA_WGRAD_TILES(f16, __half)

#define LORA_WGRAD_SIMT(suffix, T)                                                              \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kSimtThreads)                      \
        wgrad_simt_patches_##suffix(const __grid_constant__ lora::cuda::WeightGradientArgs p) { \
        lora::cuda::wgrad_simt<T>(p);                                                           \
    }
LORA_WGRAD_SIMT(f32, float)
LORA_WGRAD_SIMT(f16, __half)
