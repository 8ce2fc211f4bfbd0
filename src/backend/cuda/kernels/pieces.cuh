// Pieces of 16 bytes: how memory-bound kernels walk over rows of elements (extent.h).
// Pieces that are whole and aligned move as vectors, all others element by element.
#pragma once

#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/extent.h"

namespace lora::cuda {

// Neighbouring elements of one row, at most as many as fill the widest operand's vector.
struct Piece {
    int64_t row = 0;
    int64_t column = 0;
    int valid = 0;
    bool whole = false;  // all elements are there, and aligned
};

// Calls fn(piece) for every piece of the extent, spread over all threads of the grid.
template <int kSize, typename Fn>
__device__ __forceinline__ void each_piece(const Extent& extent, Fn fn) {
    const auto columns = static_cast<uint64_t>((extent.length + kSize - 1) / kSize);
    const uint64_t pieces = static_cast<uint64_t>(extent.rows) * columns;
    const uint64_t step = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < pieces;
         i += step) {
        const uint64_t row = extent.rows == 1 ? 0 : i / columns;
        Piece piece;
        piece.row = static_cast<int64_t>(row);
        piece.column = static_cast<int64_t>(i - row * columns) * kSize;
        const int64_t rest = extent.length - piece.column;
        piece.valid = rest < kSize ? static_cast<int>(rest) : kSize;
        piece.whole = extent.aligned != 0 && rest >= kSize;
        fn(piece);
    }
}

// kSize elements as floats; those past `valid` are zero. `whole` needs 16-byte alignment (8-byte
// where the elements fill no more).
template <typename T, int kSize>
__device__ __forceinline__ void load_elements(const T* src,
                                              int valid,
                                              bool whole,
                                              float (&x)[kSize]) {
    if (whole) {
        alignas(16) T elements[kSize];
        if constexpr (sizeof(elements) % 16 == 0) {
            constexpr int kVectors = static_cast<int>(sizeof(elements) / 16);
#pragma unroll
            for (int i = 0; i < kVectors; ++i) {
                reinterpret_cast<uint4*>(elements)[i] = reinterpret_cast<const uint4*>(src)[i];
            }
        } else {
            static_assert(sizeof(elements) == 8);
            *reinterpret_cast<uint2*>(elements) = *reinterpret_cast<const uint2*>(src);
        }
#pragma unroll
        for (int j = 0; j < kSize; ++j) x[j] = to_float(elements[j]);
        return;
    }
#pragma unroll
    for (int j = 0; j < kSize; ++j) x[j] = j < valid ? to_float(src[j]) : 0.0F;
}

template <typename T, int kSize>
__device__ __forceinline__ void store_elements(T* dst,
                                               int valid,
                                               bool whole,
                                               const float (&x)[kSize]) {
    if (whole) {
        alignas(16) T elements[kSize];
#pragma unroll
        for (int j = 0; j < kSize; ++j) elements[j] = from_float<T>(x[j]);
        if constexpr (sizeof(elements) % 16 == 0) {
            constexpr int kVectors = static_cast<int>(sizeof(elements) / 16);
#pragma unroll
            for (int i = 0; i < kVectors; ++i) {
                reinterpret_cast<uint4*>(dst)[i] = reinterpret_cast<const uint4*>(elements)[i];
            }
        } else {
            static_assert(sizeof(elements) == 8);
            *reinterpret_cast<uint2*>(dst) = *reinterpret_cast<const uint2*>(elements);
        }
        return;
    }
#pragma unroll
    for (int j = 0; j < kSize; ++j) {
        if (j < valid) dst[j] = from_float<T>(x[j]);
    }
}

template <typename T, int kSize>
__device__ __forceinline__ void load_elements(const T* src, const Piece& piece, float (&x)[kSize]) {
    load_elements(src, piece.valid, piece.whole, x);
}
template <typename T, int kSize>
__device__ __forceinline__ void store_elements(T* dst,
                                               const Piece& piece,
                                               const float (&x)[kSize]) {
    store_elements(dst, piece.valid, piece.whole, x);
}

// The sum over all threads of a block, in a fixed order, in thread 0. `partial`: shared, 32 places.
template <typename T>
__device__ __forceinline__ T block_sum(T x, T* partial) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
    __syncthreads();
    if (threadIdx.x >= 32) return T(0);
    return warp_sum(threadIdx.x < blockDim.x / 32 ? partial[threadIdx.x] : T(0));
}

}  // namespace lora::cuda
