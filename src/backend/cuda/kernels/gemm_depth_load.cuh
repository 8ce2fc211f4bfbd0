// The loader of a matrix whose rows lie along the sum; gemm_load.cuh has those of the others.
#pragma once

#include "backend/cuda/kernels/gemm_tile.cuh"

namespace lora::cuda {

template <typename T>
union Unit {
    __device__ Unit() {}
    uint4 bits;
    T at[8];
};

// A matrix [k, width] with the width contiguous as a tile [depth, kWidth]: B, or what a weight
// gradient sums over k. Row k lies at (k / tap_k) * tap_stride + (k % tap_k) * row_stride, and with
// kLines line_stride further for every `across` taps.
struct RowPlaces {
    int tap_k;
    int64_t tap_stride;
    int64_t row_stride;
    int across = 1;
    int64_t line_stride = 0;
};
template <typename T, int kWidth, int kDepth, int kThreads, bool kByElements, bool kLines = false>
class DepthLoader {
public:
    __device__ __forceinline__
    DepthLoader(const T* matrix, const RowPlaces& places, int first_column, int width, int first_k)
        : matrix_(matrix), places_(places) {
        k_ = first_k + static_cast<int>(threadIdx.x) / kUnits;
        const int tap = k_ / places.tap_k;
        k_in_tap_ = k_ - tap * places.tap_k;
        const int column = first_column + unit() * 8;
        left_ = width - column;
        from_ = matrix + tap * places.tap_stride + k_in_tap_ * places.row_stride + column;
        if constexpr (kLines) {
            from_ += tap / places.across * places.line_stride;
            in_line_ = tap % places.across;
        }
    }

    __device__ __forceinline__ void load(int end, uint32_t dst) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const int row = static_cast<int>(threadIdx.x) / kUnits + i * kStep;
            const uint32_t to = dst + unit_offset<kUnits>(row, unit());
            if constexpr (kByElements) {
                Unit<T> value;
#pragma unroll
                for (int e = 0; e < 8; ++e) {
                    value.at[e] = e < left_ && k_ < end ? from_[e] : from_float<T>(0.0F);
                }
                store_16(to, value.bits);
            } else {
                const bool valid = left_ > 0 && k_ < end;
                copy_16(to, valid ? from_ : matrix_, valid);
            }
            k_ += kStep;
            from_ += kStep * places_.row_stride;
            k_in_tap_ += kStep;
            while (k_in_tap_ >= places_.tap_k) {
                k_in_tap_ -= places_.tap_k;
                from_ += places_.tap_stride - places_.tap_k * places_.row_stride;
                if (kLines && ++in_line_ == places_.across) {
                    in_line_ = 0;
                    from_ += places_.line_stride;
                }
            }
        }
    }

private:
    static constexpr int kUnits = kWidth / 8;
    static constexpr int kStep = kThreads / kUnits;  // rows between two of one thread
    static constexpr int kCount = kDepth / kStep;
    static_assert(kDepth % kStep == 0 && kThreads % kUnits == 0);

    __device__ static __forceinline__ int unit() { return static_cast<int>(threadIdx.x) % kUnits; }

    const T* matrix_;
    const T* from_;
    RowPlaces places_;
    int k_;
    int k_in_tap_;
    int in_line_ = 0;
    int left_;  // columns from this thread's unit to the matrix's edge
};

}  // namespace lora::cuda
