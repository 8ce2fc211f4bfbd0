// Gradients of weights on tensor cores: dst = alpha * dy^T x (+ dst), a sum over many points. Both
// operands lie with the points as rows, so both are read through transposing loads.
// Types   bf16 or f16 in, fp32 accumulated, fp32 out.
// Needs   kByElements: nothing. Otherwise out and in multiples of 8 elements, addresses of dy and x
//         of 16 bytes.
// Launch  grid {out tiles * in tiles, 1, splits}, kTile.threads() threads, kTile.shared_bytes();
//         rows of the tile are out, its columns taps * in.
// Cases   tests/support/cases/product.cpp: trainable and lora.
#pragma once

#include "backend/cuda/kernels/gemm_load.cuh"
#include "backend/cuda/kernels/split_sum.cuh"

namespace lora::cuda {

// x gathered from an image as a tile [depth, columns]: row p is a point, column (tap, i) is channel
// i of the pixel that the point sees through the tap.
template <typename T, ProductTile kTile, bool kByElements>
class PatchLoader {
public:
    __device__ __forceinline__ PatchLoader(const WeightGradientArgs& p,
                                           int first_column,
                                           int first_point) {
        point_ = first_point + static_cast<int>(threadIdx.x) / kUnits;
        out_x_ = point_ % p.out_width;
        const int rest = point_ / p.out_width;
        out_y_ = rest % p.out_height;
        image_ = rest / p.out_height;
        column_ = first_column + unit() * 8;
        const int tap = column_ / p.in;
        channel_ = column_ - tap * p.in;
        tap_y_ = tap / p.kernel_width;
        tap_x_ = tap - tap_y_ * p.kernel_width;
    }

    __device__ __forceinline__ void load(const WeightGradientArgs& p, int end, uint32_t dst) {
        const T* x = static_cast<const T*>(p.x);
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const int row = static_cast<int>(threadIdx.x) / kUnits + i * kStep;
            const uint32_t to = dst + unit_offset<kUnits>(row, unit());
            if constexpr (kByElements) {
                Unit<T> value;
#pragma unroll
                for (int e = 0; e < 8; ++e) value.at[e] = element(p, column_ + e, end);
                store_16(to, value.bits);
            } else {
                const int64_t offset = offset_of(p, tap_y_, tap_x_, channel_);
                const bool valid = offset >= 0 && point_ < end && column_ < p.in * p.taps;
                copy_16(to, valid ? x + offset : x, valid);
            }
            point_ += kStep;
            out_x_ += kStep;
            while (out_x_ >= p.out_width) {
                out_x_ -= p.out_width;
                if (++out_y_ == p.out_height) {
                    out_y_ = 0;
                    ++image_;
                }
            }
        }
    }

private:
    static constexpr int kUnits = kTile.columns / 8;
    static constexpr int kStep = kTile.threads() / kUnits;
    static constexpr int kCount = kTile.depth / kStep;
    static_assert(kTile.depth % kStep == 0);

    __device__ static __forceinline__ int unit() { return static_cast<int>(threadIdx.x) % kUnits; }

    // Negative outside the image.
    __device__ __forceinline__ int64_t offset_of(const WeightGradientArgs& p,
                                                 int tap_y,
                                                 int tap_x,
                                                 int channel) const {
        const int y = out_y_ * p.stride - p.pad_top + tap_y;
        const int x = out_x_ * p.stride - p.pad_left + tap_x;
        const bool inside = y >= 0 && y < p.height && x >= 0 && x < p.width;
        const int64_t row = static_cast<int64_t>(image_) * p.height + y;
        return inside ? (row * p.width + x) * p.in + channel : -1;
    }

    __device__ __forceinline__ T element(const WeightGradientArgs& p, int column, int end) const {
        if (point_ >= end || column >= p.in * p.taps) return from_float<T>(0.0F);
        const int tap = column / p.in;
        const int tap_y = tap / p.kernel_width;
        const int64_t offset =
            offset_of(p, tap_y, tap - tap_y * p.kernel_width, column - tap * p.in);
        return offset < 0 ? from_float<T>(0.0F) : static_cast<const T*>(p.x)[offset];
    }

    int point_;
    int out_x_;
    int out_y_;
    int image_;
    int column_;
    int channel_;
    int tap_y_;
    int tap_x_;
};

// Element (row, column) of [out, taps * in], if there is one, into dst.
template <typename T>
__device__ __forceinline__ void store_gradient(const WeightGradientArgs& p,
                                               int row,
                                               int column,
                                               float sum) {
    if (row >= p.out || column >= p.in * p.taps) return;
    int64_t at = static_cast<int64_t>(row) * p.in * p.taps + column;
    if (p.row_taps > 1) {
        const int tap = row / p.row_outs;
        if (tap >= p.row_taps) return;
        const int64_t out = row - tap * p.row_outs;
        at = p.by_taps != 0 ? (out * p.row_taps + tap) * p.in + column
                            : (out * p.in + column) * p.row_taps + tap;
    }
    if (p.taps > 1 && p.by_taps == 0) {
        const int tap = column / p.in;
        const int channel = column - tap * p.in;
        at = (static_cast<int64_t>(row) * p.in + channel) * p.taps + tap;
    }
    const float v = p.alpha * sum;
    if (p.half != 0) {
        static_cast<T*>(p.dst)[at] = from_float<T>(v);
        return;
    }
    float* dst = static_cast<float*>(p.dst);
    dst[at] = p.accumulate != 0 ? dst[at] + v : v;
}

template <typename T, ProductTile kTile, bool kGathered, bool kByElements>
__device__ __forceinline__ void weight_gradient(const WeightGradientArgs& p,
                                                const BlockPlace& place) {
    const int columns = p.in * p.taps;
    const TilePosition first = tile_position(place.tile, p.out, columns, kTile.rows, kTile.columns);
    const int begin = place.split * p.points_per_split;
    const int end = min(p.points, begin + p.points_per_split);
    const int count = (end - begin + kTile.depth - 1) / kTile.depth;

    DepthLoader<T, kTile.rows, kTile.depth, kTile.threads(), kByElements> left(
        static_cast<const T*>(p.dy), {p.points, 0, p.out}, first.row, p.out, begin);
    auto right = [&] {
        if constexpr (kGathered) {
            return PatchLoader<T, kTile, kByElements>(p, first.column, begin);
        } else {
            return DepthLoader<T, kTile.columns, kTile.depth, kTile.threads(), kByElements>(
                static_cast<const T*>(p.x), {p.points, 0, p.in}, first.column, p.in, begin);
        }
    }();
    WarpSums<kTile> sums;
    sum_steps<T, kTile, true, true>(sums, count, [&](uint32_t stage) {
        left.load(end, stage);
        if constexpr (kGathered) {
            right.load(p, end, stage + kTile.left_bytes());
        } else {
            right.load(end, stage + kTile.left_bytes());
        }
    });
    if (!join_splits<WarpSums<kTile>::kCount>(&sums.at[0][0][0], p.split, place)) return;

    each_sum(sums, [&](int row, int column, float sum) {
        store_gradient<T>(p, first.row + row, first.column + column, sum);
    });
}

}  // namespace lora::cuda
