// Arguments and tile shapes of the product kernels, shared by host and device code: one matrix
// product whose left operand may be gathered from an image, so that convolutions need no im2col
// buffer.
//   dst[m, n] = alpha * sum_k A[m, k] B[k, n] + bias[n] + addend[m, n]
//               + alpha2 * sum_k A2[m, k] B2[k, n]   (gemm_hopper only, alpha 1)
// Families of kernels; <kind> says how A and B lie: plain_nk, plain_kn, forward_nk, backward_kn,
// parity_kn (B is nk where its k is contiguous, kn where its n is; parity: gemm_part.cuh)
//   gemm_<rows>x<columns>_<kind>_<type>    tensor cores; bf16, f16; 8.0 and later
//   gemm_elements_<kind>_<type>            the same for sizes and strides that are no multiple of 8
//   gemm_simt_<kind>_<type>                f32 (exact, no TF32); f16 on cards before 8.0
//   wgrad_*                                weight gradients, WeightGradientArgs
//   wgrad_group_<type>                     many plain ones in one launch, WeightGradientGroup
#pragma once

#include <cstdint>

namespace lora::cuda {

// Of a product whose sum is split over grid.z: split_sum.cuh.
struct SplitSum {
    float* partial = nullptr;      // [splits, tiles, elements of a tile]
    unsigned* arrivals = nullptr;  // [tiles], zero before and after every launch
    int count = 1;                 // of splits; 1: partial and arrivals are not used
};

struct ProductArgs {
    const void* a = nullptr;       // element type of the kernel
    const void* b = nullptr;       // the same
    const void* bias = nullptr;    // [n] or null, the same
    const void* addend = nullptr;  // [m, n] or null, row stride ldd; may be dst itself
    void* dst = nullptr;           // [m, n], row stride ldd
    SplitSum split;
    int m = 0;
    int n = 0;
    int k = 0;
    int lda = 0;  // row stride of a plain A [m, k]; unused for a gathered one
    int ldd = 0;
    // B[k, n] lies at b + (k / b_tap_k) * b_tap_stride + (k % b_tap_k) * b_stride_k + n *
    // b_stride_n. One of the two strides is 1. Plain matrices have one tap (b_tap_k = k).
    //   linear forward, w [out, in]:      stride_k 1, stride_n in
    //   linear backward, w [out, in]:     stride_k in, stride_n 1
    //   conv forward, w [O, taps, I]:     stride_k 1, stride_n taps * I, one tap (k = taps * I)
    //   conv backward, w [O, taps, I]:    tap_k O, tap_stride I, stride_k taps * I, stride_n 1
    int b_tap_k = 0;
    int64_t b_tap_stride = 0;
    int64_t b_stride_k = 0;
    int64_t b_stride_n = 1;
    // A second, thin product (a LoRA's): A2 [m, k2] with row stride k2, B2 as B lies. Null: none.
    // Where `mid` is set, a2 is the factor that makes A2 of A.
    const void* a2 = nullptr;
    const void* b2 = nullptr;
    int k2 = 0;
    int64_t b2_stride_k = 0;
    int64_t b2_stride_n = 1;
    float alpha2 = 1.0F;
    // Where the kernel makes A2 itself, alpha_mid * A times a thin factor: here, and it leaves it.
    void* mid = nullptr;
    float alpha_mid = 1.0F;
    float alpha = 1.0F;
    int k_per_split = 0;  // multiple of the kernel's k tile; at least k when not split
    // Gathered A: the image a is [images, height, width, channels]; row m is a pixel of the grid
    // [images, out_height, out_width]; k = (tap_y * kernel_width + tap_x) * channels + channel.
    //   forward:         y = out_y * stride - pad_top + tap_y
    //   backward input:  t = out_y + pad_top - tap_y; y = t / stride where stride divides t
    // Pixels outside the image are zero.
    int height = 0;
    int width = 0;
    int channels = 0;
    int out_height = 0;
    int out_width = 0;
    int kernel_height = 1;
    int kernel_width = 1;
    int stride = 1;
    int pad_top = 0;
    int pad_left = 0;
    // For stores: 1 when n and ldd are multiples of 8, and dst, addend and bias of 16 bytes.
    int wide = 0;
};

// Where a tile copy finds its data (tma.cuh): made by the driver, opaque to everybody else.
struct alignas(64) TensorMap {
    uint64_t words[16] = {};
};
struct HopperProductArgs {
    TensorMap a;    // [m, k], or the windows of an image
    TensorMap b;    // as it lies: [n, k] or [k, n]; [O, taps, I] of a convolution backward
    TensorMap a2;   // [m, k2]
    TensorMap b2;   // as b
    TensorMap mid;  // the factor that makes A2 of A: [k2, k], or [k, k2] where B is kn
    // pad_top and pad_left are those of the window in A, backward too (kernel - 1 - pad).
    ProductArgs product;
};

// dst[o, i, tap] = alpha * sum_p dy[p, o] x[pixel of p and tap, i] (+ dst)
struct WeightGradientArgs {
    const void* dy = nullptr;  // [points, out]
    const void* x = nullptr;   // [points, in], or an image [images, height, width, in]
    void* dst = nullptr;       // [out, in, taps] fp32; of the operands' type where `half` is 1
    SplitSum split;
    int out = 0;
    int in = 0;
    int by_taps = 0;  // dst is [out, taps, in]
    int taps = 1;
    int points = 0;
    int points_per_split = 0;  // multiple of the kernel's depth; at least `points` when not split
    int accumulate = 0;
    int half = 0;
    float alpha = 1.0F;
    // Gathered x: point p is a pixel of [images, out_height, out_width], tap (y, x) looks at
    // out * stride - pad + tap. The plain case is out_height = height = 1, width = points.
    int height = 1;
    int width = 1;
    int out_height = 1;
    int out_width = 1;
    int kernel_width = 1;
    int stride = 1;
    int pad_top = 0;
    int pad_left = 0;
    // Where row_taps is above 1 (plain ones): row tap * row_outs + o of the product is element
    // [o, :, tap] of dst [row_outs, in, row_taps] ([o, tap, :] where by_taps); rows past them are
    // left out. `out` counts rows.
    int row_taps = 1;
    int row_outs = 0;
};

struct HopperGradientArgs {
    TensorMap dy;  // [points, out]
    TensorMap x;   // [points, in], or the windows of an image
    WeightGradientArgs gradient;
};

// Gradients of linear layers, many in one launch: a LoRA's are too small to fill a card alone.
// Blocks first_block[i] .. first_block[i + 1] belong to problem i, all tiles of one split before
// those of the next.
enum class GradientTile : int { k32x128, k128x32, k64x64 };
struct GroupedGradient {
    const void* dy = nullptr;  // [points, out]
    const void* x = nullptr;   // [points, in]
    void* dst = nullptr;       // [out, in]
    SplitSum split;
    int out = 0;
    int in = 0;
    int points = 0;
    int points_per_split = 0;
    uint16_t accumulate = 0;
    uint16_t half = 0;
    float alpha = 1.0F;
    GradientTile tile = GradientTile::k32x128;
    uint16_t row_taps = 1;  // as WeightGradientArgs
    uint16_t row_outs = 0;
    uint16_t by_taps = 0;
};
inline constexpr int kMostGrouped = 40;
struct WeightGradientGroup {
    int count = 0;
    int first_block[kMostGrouped + 1] = {};
    GroupedGradient problem[kMostGrouped];
};
static_assert(sizeof(WeightGradientGroup) <= 4096, "what a launch can pass");

// A block's part of the result, and how its warps share it.
struct ProductTile {
    int rows = 64;
    int columns = 64;
    int depth = 32;  // of k in one step
    int row_warps = 2;
    int column_warps = 2;
    int stages = 3;  // steps held in shared memory
    int blocks = 2;  // per multiprocessor, which bounds registers

    [[nodiscard]] constexpr int threads() const { return 32 * row_warps * column_warps; }
    [[nodiscard]] constexpr int warp_rows() const { return rows / row_warps; }
    [[nodiscard]] constexpr int warp_columns() const { return columns / column_warps; }
    [[nodiscard]] constexpr int left_bytes() const { return rows * depth * 2; }
    [[nodiscard]] constexpr int stage_bytes() const { return (rows + columns) * depth * 2; }
    // Sixteen rows of every warp on their way to memory, fp32.
    [[nodiscard]] constexpr int staging_stride() const { return warp_columns() + 8; }
    [[nodiscard]] constexpr int shared_bytes() const {
        const int staging = row_warps * column_warps * 16 * staging_stride() * 4;
        const int steps = stages * stage_bytes();
        return steps > staging ? steps : staging;
    }
};

inline constexpr ProductTile kGemm128x128{.rows = 128, .columns = 128, .column_warps = 4};
inline constexpr ProductTile kGemm128x64{.rows = 128, .stages = 4, .blocks = 3};
inline constexpr ProductTile kGemm64x64{.depth = 64, .blocks = 4};
inline constexpr ProductTile kGemm64x32{
    .columns = 32, .depth = 64, .row_warps = 4, .column_warps = 1, .stages = 4, .blocks = 4};
inline constexpr ProductTile kGemm16x64{
    .rows = 16, .depth = 64, .row_warps = 1, .column_warps = 4, .stages = 4, .blocks = 4};
inline constexpr ProductTile kGemmElements{.stages = 2};

inline constexpr ProductTile kGradient32x128{
    .rows = 32, .columns = 128, .row_warps = 1, .column_warps = 4, .stages = 4, .blocks = 4};
inline constexpr ProductTile kGradient128x32{
    .rows = 128, .columns = 32, .row_warps = 4, .column_warps = 1, .stages = 4, .blocks = 4};
inline constexpr ProductTile kGradient64x64{.stages = 4, .blocks = 4};
inline constexpr ProductTile kGradientElements{.stages = 2};

// The kernels without tensor cores: 256 threads with 4 x 4 sums each.
inline constexpr int kSimtTile = 64;
inline constexpr int kSimtDepth = 16;
inline constexpr int kSimtThreads = 256;

}  // namespace lora::cuda
