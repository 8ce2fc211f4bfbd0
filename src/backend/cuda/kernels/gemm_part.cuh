// Which part of a product a block works at: all of it, or, for the input gradient of a convolution
// of stride 2, the pixels of one parity. Their rows and columns are all even or all odd, so that
// the same taps reach them: a convolution of stride 1 with a quarter of the pixels and of the taps
// each, where testing every tap of every pixel would multiply three zeros of four.
#pragma once

#include "backend/cuda/kernels/gemm_load.cuh"
#include "backend/cuda/kernels/split_sum.cuh"

namespace lora::cuda {

template <bool kParity>
struct ProductPart;

template <>
struct ProductPart<false> {
    const ProductArgs& p;
    int tile;

    __device__ __forceinline__ ProductPart(const ProductArgs& args, const BlockPlace& place)
        : p(args), tile(place.tile) {}
    [[nodiscard]] __device__ __forceinline__ RowPlaces places() const {
        return {p.b_tap_k, p.b_tap_stride, p.b_stride_k};
    }
    [[nodiscard]] __device__ __forceinline__ int row_of(int m) const { return m; }
};

// The grid has four parts of equally many tiles, as many as the largest part needs; in the first
// the taps (0, 0), (0, 2), (2, 0) ... count, in the second (0, 1), (0, 3) ...
template <>
struct ProductPart<true> {
    ProductArgs p;  // of the part
    int tile;
    int y;  // parity of its pixels
    int x;
    int height;  // of the whole image
    int width;
    int64_t line_stride;

    __device__ __forceinline__ ProductPart(const ProductArgs& args, const BlockPlace& place)
        : p(args), height(args.out_height), width(args.out_width) {
        const int tiles = place.tiles / 4;
        const int part = place.tile / tiles;
        tile = place.tile - part * tiles;
        const int tap_y = part / 2;
        const int tap_x = part % 2;
        y = tap_y ^ (args.pad_top & 1);
        x = tap_x ^ (args.pad_left & 1);
        p.stride = 1;
        p.pad_top = (y + args.pad_top - tap_y) / 2;
        p.pad_left = (x + args.pad_left - tap_x) / 2;
        p.out_height = (height - y + 1) / 2;
        p.out_width = (width - x + 1) / 2;
        p.m = args.m / (height * width) * p.out_height * p.out_width;
        p.kernel_height = (args.kernel_height - tap_y + 1) / 2;
        const int across = (args.kernel_width - tap_x + 1) / 2;
        p.k = p.kernel_height * across * args.channels;
        p.kernel_width = max(across, 1);
        p.b_tap_stride = 2 * args.b_tap_stride;
        line_stride = 2 * (args.kernel_width - across) * args.b_tap_stride;
    }
    // Elements from the filter to its first tap that counts here.
    [[nodiscard]] static __device__ __forceinline__ int64_t first_tap(const ProductArgs& args,
                                                                      const BlockPlace& place) {
        const int part = place.tile / (place.tiles / 4);
        return (part / 2 * args.kernel_width + part % 2) * args.b_tap_stride;
    }
    [[nodiscard]] __device__ __forceinline__ RowPlaces places() const {
        return {p.b_tap_k, p.b_tap_stride, p.b_stride_k, p.kernel_width, line_stride};
    }
    // The pixel's place in the whole image.
    [[nodiscard]] __device__ __forceinline__ int row_of(int m) const {
        const int column = m % p.out_width;
        const int rest = m / p.out_width;
        const int row = rest % p.out_height;
        return (rest / p.out_height * height + 2 * row + y) * width + 2 * column + x;
    }
};

}  // namespace lora::cuda
