// Loaders: what brings tiles of the two matrices into shared memory, step after step along k.
// Each thread copies units of 8 elements. With kByElements they are put together from single
// elements, which needs no alignment; otherwise every size and stride is a multiple of 8 elements
// and every address of 16 bytes.
#pragma once

#include "backend/cuda/kernels/gemm_depth_load.cuh"

namespace lora::cuda {

enum class Gather { kPlain, kForward, kBackward };

// A [m, k] as a tile [rows, depth]; rows may be pixels whose k are the neighbours they look at.
template <typename T, ProductTile kTile, Gather kGather, bool kByElements>
class LeftLoader {
public:
    __device__ __forceinline__ LeftLoader(const ProductArgs& p, int first_row, int first_k) {
        k_ = first_k + unit() * 8;
#pragma unroll
        for (int i = 0; i < kCount; ++i) start_row(p, i, first_row + row(i));
        if constexpr (kGather != Gather::kPlain) {
            const int tap = k_ / p.channels;
            channel_ = k_ - tap * p.channels;
            tap_y_ = tap / p.kernel_width;
            tap_x_ = tap % p.kernel_width;
        }
    }

    // The next step's tile to `dst`; k from `end` on is zero.
    __device__ __forceinline__ void load(const ProductArgs& p, int end, uint32_t dst) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const uint32_t to = dst + unit_offset<kUnits>(row(i), unit());
            if constexpr (kByElements) {
                Unit<T> value;
#pragma unroll
                for (int e = 0; e < 8; ++e) value.at[e] = element(p, i, k_ + e, end);
                store_16(to, value.bits);
            } else {
                const int64_t offset = offset_of(p, i, tap_y_, tap_x_, channel_);
                const bool valid = offset >= 0 && k_ < end;
                copy_16(to, valid ? base_[i] + offset : static_cast<const T*>(p.a), valid);
            }
        }
        k_ += kTile.depth;
        if constexpr (kGather != Gather::kPlain && !kByElements) {
            channel_ += kTile.depth;
            while (channel_ >= p.channels) {
                channel_ -= p.channels;
                if (++tap_x_ == p.kernel_width) {
                    tap_x_ = 0;
                    ++tap_y_;
                }
            }
        }
    }

private:
    static constexpr int kUnits = kTile.depth / 8;
    static constexpr int kStep = kTile.threads() / kUnits;  // rows between two of one thread
    static constexpr int kCount = kTile.rows / kStep;
    static_assert(kTile.rows % kStep == 0 && kTile.threads() % kUnits == 0);
    static constexpr int kOutside = INT32_MIN / 2;

    __device__ static __forceinline__ int unit() { return static_cast<int>(threadIdx.x) % kUnits; }
    __device__ static __forceinline__ int row(int i) {
        return static_cast<int>(threadIdx.x) / kUnits + i * kStep;
    }

    __device__ __forceinline__ void start_row(const ProductArgs& p, int i, int m) {
        const bool inside = m < p.m;
        const int safe = inside ? m : 0;
        const T* a = static_cast<const T*>(p.a);
        if constexpr (kGather == Gather::kPlain) {
            base_[i] = a + static_cast<int64_t>(safe) * p.lda;
            y_[i] = inside ? 0 : kOutside;
        } else {
            const int out_x = safe % p.out_width;
            const int rest = safe / p.out_width;
            const int out_y = rest % p.out_height;
            const int image = rest / p.out_height;
            base_[i] = a + static_cast<int64_t>(image) * p.height * p.width * p.channels;
            const bool forward = kGather == Gather::kForward;
            y_[i] = forward ? out_y * p.stride - p.pad_top : out_y + p.pad_top;
            x_[i] = forward ? out_x * p.stride - p.pad_left : out_x + p.pad_left;
            if (!inside) y_[i] = kOutside;
        }
    }

    // From base_[i]; negative where the pixel is outside the image or the row outside the matrix.
    __device__ __forceinline__ int64_t
    offset_of(const ProductArgs& p, int i, int tap_y, int tap_x, int channel) const {
        if constexpr (kGather == Gather::kPlain) {
            return y_[i] < 0 ? -1 : k_;
        } else {
            int y = kGather == Gather::kForward ? y_[i] + tap_y : y_[i] - tap_y;
            int x = kGather == Gather::kForward ? x_[i] + tap_x : x_[i] - tap_x;
            bool inside = true;
            if (kGather == Gather::kBackward && p.stride > 1) {
                const int down_y = y / p.stride;
                const int down_x = x / p.stride;
                inside = down_y * p.stride == y && down_x * p.stride == x;
                y = down_y;
                x = down_x;
            }
            inside = inside && static_cast<unsigned>(y) < static_cast<unsigned>(p.height) &&
                     static_cast<unsigned>(x) < static_cast<unsigned>(p.width);
            return inside ? static_cast<int64_t>(y * p.width + x) * p.channels + channel : -1;
        }
    }

    __device__ __forceinline__ T element(const ProductArgs& p, int i, int k, int end) const {
        if (k >= end) return from_float<T>(0.0F);
        if constexpr (kGather == Gather::kPlain) {
            return y_[i] < 0 ? from_float<T>(0.0F) : base_[i][k];
        } else {
            const int tap = k / p.channels;
            const int tap_y = tap / p.kernel_width;
            const int64_t offset =
                offset_of(p, i, tap_y, tap - tap_y * p.kernel_width, k - tap * p.channels);
            return offset < 0 ? from_float<T>(0.0F) : base_[i][offset];
        }
    }

    const T* base_[kCount];  // plain: the row; gathered: its image
    int y_[kCount];          // gathered: origin of the window; kOutside where there is no row
    int x_[kCount];
    int k_;  // of this thread's units in the next step
    int channel_ = 0;
    int tap_y_ = 0;
    int tap_x_ = 0;
};

// B [k, n] with k contiguous as a tile [columns, depth].
template <typename T, ProductTile kTile, bool kByElements>
class RightLoader {
public:
    __device__ __forceinline__ RightLoader(const ProductArgs& p, int first_column, int first_k) {
        column_ = first_column + static_cast<int>(threadIdx.x) / kUnits;
        k_ = first_k + unit() * 8;
        from_ = static_cast<const T*>(p.b) + column_ * p.b_stride_n + k_;
    }

    __device__ __forceinline__ void load(const ProductArgs& p, int end, uint32_t dst) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const int row = static_cast<int>(threadIdx.x) / kUnits + i * kStep;
            const uint32_t to = dst + unit_offset<kUnits>(row, unit());
            const T* from = from_ + i * kStep * p.b_stride_n;
            const bool inside = column_ + i * kStep < p.n;
            if constexpr (kByElements) {
                Unit<T> value;
#pragma unroll
                for (int e = 0; e < 8; ++e) {
                    value.at[e] = inside && k_ + e < end ? from[e] : from_float<T>(0.0F);
                }
                store_16(to, value.bits);
            } else {
                const bool valid = inside && k_ < end;
                copy_16(to, valid ? from : static_cast<const T*>(p.b), valid);
            }
        }
        k_ += kTile.depth;
        from_ += kTile.depth;
    }

private:
    static constexpr int kUnits = kTile.depth / 8;
    static constexpr int kStep = kTile.threads() / kUnits;
    static constexpr int kCount = kTile.columns / kStep;
    static_assert(kTile.columns % kStep == 0);

    __device__ static __forceinline__ int unit() { return static_cast<int>(threadIdx.x) % kUnits; }

    const T* from_;
    int column_;
    int k_;
};

}  // namespace lora::cuda
