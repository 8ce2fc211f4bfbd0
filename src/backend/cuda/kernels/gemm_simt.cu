// The product of product_args.h without tensor cores: fp32 exactly (fused multiply-add, no TF32),
// and f16 on cards before 8.0.
// Launch  grid {row tiles * column tiles, 1, splits} of 64 x 64, 256 threads, no dynamic memory.
// Cases   tests/support/cases/product.cpp.
#include "backend/cuda/kernels/simt_tile.cuh"
#include "backend/cuda/kernels/split_sum.cuh"

namespace lora::cuda {

enum class Gather { kPlain, kForward, kBackward };

// Where row m of A begins: in the matrix, or as a window of its image.
struct SimtRow {
    int64_t base;
    int y;
    int x;
};

template <Gather kGather>
__device__ __forceinline__ SimtRow simt_row_of(const ProductArgs& p, int m) {
    if constexpr (kGather == Gather::kPlain) {
        return {static_cast<int64_t>(m) * p.lda, 0, 0};
    } else {
        const int out_x = m % p.out_width;
        const int rest = m / p.out_width;
        const int out_y = rest % p.out_height;
        const int64_t image = rest / p.out_height;
        const bool forward = kGather == Gather::kForward;
        return {image * p.height * p.width * p.channels,
                forward ? out_y * p.stride - p.pad_top : out_y + p.pad_top,
                forward ? out_x * p.stride - p.pad_left : out_x + p.pad_left};
    }
}

// Offset of A[row, k], or -1 for a pixel outside the image.
template <Gather kGather>
__device__ __forceinline__ int64_t simt_offset(const ProductArgs& p, const SimtRow& row, int k) {
    if constexpr (kGather == Gather::kPlain) {
        return row.base + k;
    } else {
        const int tap = k / p.channels;
        const int tap_y = tap / p.kernel_width;
        const int tap_x = tap - tap_y * p.kernel_width;
        int y = kGather == Gather::kForward ? row.y + tap_y : row.y - tap_y;
        int x = kGather == Gather::kForward ? row.x + tap_x : row.x - tap_x;
        if (kGather == Gather::kBackward && p.stride > 1) {
            if (y % p.stride != 0 || x % p.stride != 0) return -1;
            y /= p.stride;
            x /= p.stride;
        }
        if (y < 0 || y >= p.height || x < 0 || x >= p.width) return -1;
        return row.base + static_cast<int64_t>(y * p.width + x) * p.channels +
               (k - tap * p.channels);
    }
}

template <typename T, Gather kGather, bool kDepthContiguous>
__device__ __forceinline__ void gemm_simt(const ProductArgs& p) {
    const BlockPlace place = place_in_grid();
    const int column_tiles = (p.n + kSimtTile - 1) / kSimtTile;
    const int first_row = place.tile / column_tiles * kSimtTile;
    const int first_column = place.tile % column_tiles * kSimtTile;
    const int begin = place.split * p.k_per_split;
    const int end = min(p.k, begin + p.k_per_split);
    const T* a = static_cast<const T*>(p.a);
    const T* b = static_cast<const T*>(p.b);

    // A thread fetches the same rows of A in every step.
    SimtRow rows[kSimtTile / kSimtRowStep];
#pragma unroll
    for (int i = 0; i < kSimtTile / kSimtRowStep; ++i) {
        const int m = first_row + static_cast<int>(threadIdx.x) / kSimtDepth + i * kSimtRowStep;
        rows[i] = simt_row_of<kGather>(p, m < p.m ? m : 0);
    }
    const auto left_at = [&](int k, int i, int e) {
        if (first_row + i >= p.m) return 0.0F;
        const int64_t offset = simt_offset<kGather>(p, rows[e], k);
        return offset < 0 ? 0.0F : to_float(a[offset]);
    };
    const auto right_at = [&](int k, int i, int) {
        const int n = first_column + i;
        if (n >= p.n) return 0.0F;
        const int tap = kDepthContiguous ? 0 : k / p.b_tap_k;
        const int64_t in_tap = k - tap * p.b_tap_k;
        return to_float(b[tap * p.b_tap_stride + in_tap * p.b_stride_k + n * p.b_stride_n]);
    };
    SimtSums sums;
    simt_product<false, !kDepthContiguous>(sums, begin, end, left_at, right_at);
    if (!join_splits<16>(&sums.at[0][0], p.split, place)) return;

#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int m = first_row + simt_row() + i;
            const int n = first_column + simt_column() + j;
            if (m >= p.m || n >= p.n) continue;
            const int64_t at = static_cast<int64_t>(m) * p.ldd + n;
            float v = p.alpha * sums.at[i][j];
            if (p.bias != nullptr) v += to_float(static_cast<const T*>(p.bias)[n]);
            if (p.addend != nullptr) v += to_float(static_cast<const T*>(p.addend)[at]);
            static_cast<T*>(p.dst)[at] = from_float<T>(v);
        }
    }
}

}  // namespace lora::cuda

#define LORA_GEMM_SIMT(gather, kind, b, contiguous, suffix, T)                                   \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kSimtThreads)                       \
        gemm_simt_##gather##_##b##_##suffix(const __grid_constant__ lora::cuda::ProductArgs p) { \
        lora::cuda::gemm_simt<T, lora::cuda::Gather::kind, contiguous>(p);                       \
    }
#define LORA_GEMM_SIMT_KINDS(suffix, T)                    \
    LORA_GEMM_SIMT(plain, kPlain, nk, true, suffix, T)     \
    LORA_GEMM_SIMT(plain, kPlain, kn, false, suffix, T)    \
    LORA_GEMM_SIMT(forward, kForward, nk, true, suffix, T) \
    LORA_GEMM_SIMT(backward, kBackward, kn, false, suffix, T)
LORA_GEMM_SIMT_KINDS(f32, float)
LORA_GEMM_SIMT_KINDS(f16, __half)
