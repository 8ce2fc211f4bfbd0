// What brings tiles of A and B into the swizzled shared memory of gemm_hopper.cuh. All that depends
// on the row or column alone is worked out once, so that a step costs a few additions a copy.
#pragma once

#include "backend/cuda/kernels/split_sum.cuh"
#include "backend/cuda/kernels/wgmma.cuh"

namespace lora::cuda {

enum class Gather { kPlain, kForward, kBackward };

template <int kWarpgroups, int kTileColumns, int kStages>
struct HopperTile {
    static constexpr int kColumns = kTileColumns;
    static constexpr int kRows = 64 * kWarpgroups;
    static constexpr int kThreads = 128 * kWarpgroups;
    static constexpr int kDepth = 64;
    static constexpr int kRowBytes = kDepth * 2;
    static constexpr int kABytes = kRows * kRowBytes;
    static constexpr int kBBytes = (kColumns + 63) / 64 * 64 * kRowBytes;
    static constexpr int kStageBytes = kABytes + kBBytes;
    static constexpr int kStagingStride = kColumns + 4;  // floats; rows of the result on their way
    static constexpr int kPipelineBytes = kStages * kStageBytes;
    static constexpr int kStagingBytes = kRows * kStagingStride * 4;
    static constexpr int kSharedBytes =
        (kPipelineBytes > kStagingBytes ? kPipelineBytes : kStagingBytes) + 1024;
};

__device__ __forceinline__ void copy_16_bytes(uint32_t dst, const void* src, bool valid) {
    const int bytes = valid ? 16 : 0;
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(dst), "l"(src), "r"(bytes));
}

// One thread's rows of A: the same 16-byte column of every kThreads/8-th row.
template <typename T, Gather kGather, typename Tile>
class RowsOfA {
public:
    __device__ __forceinline__ RowsOfA(const ProductArgs& p, int first_row, int first_k) {
        const int column = static_cast<int>(threadIdx.x) % 8 * 8;
#pragma unroll
        for (int i = 0; i < kCount; ++i) start_row(p, i, first_row + row(i), column);
        if constexpr (kGather == Gather::kPlain) {
            channel_ = first_k;
        } else {
            tap_ = first_k / p.channels;
            channel_ = first_k - tap_ * p.channels;
            tap_y_ = tap_ / p.kernel_width;
            tap_x_ = tap_ - tap_y_ * p.kernel_width;
        }
    }

    // The next 64 columns of the rows, of which `left` count, into the tile at `dst`.
    __device__ __forceinline__ void load(const ProductArgs& p, int left, uint32_t dst) {
        const int column = static_cast<int>(threadIdx.x) % 8;
        int64_t offset = channel_;
        if constexpr (kGather == Gather::kForward) {
            offset += (tap_y_ * p.width + tap_x_) * p.channels;
        } else if constexpr (kGather == Gather::kBackward) {
            offset -= (tap_y_ / p.stride * p.width + tap_x_ / p.stride) * p.channels;
        }
        const bool in_depth = column * 8 < left;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
            const uint32_t to = dst + row(i) * Tile::kRowBytes + ((column ^ (row(i) & 7)) * 16);
            const bool valid = in_depth && (taps_[i] >> tap_ & 1U) != 0;
            copy_16_bytes(to, valid ? from_[i] + offset : static_cast<const T*>(p.a), valid);
        }
        channel_ += Tile::kDepth;
        if constexpr (kGather != Gather::kPlain) {
            if (channel_ < p.channels) return;
            channel_ = 0;
            ++tap_;
            if (++tap_x_ == p.kernel_width) {
                tap_x_ = 0;
                ++tap_y_;
            }
        }
    }

private:
    static constexpr int kCount = Tile::kRows * 8 / Tile::kThreads;

    __device__ static __forceinline__ int row(int i) {
        return static_cast<int>(threadIdx.x) / 8 + i * (Tile::kThreads / 8);
    }

    __device__ __forceinline__ void start_row(const ProductArgs& p, int i, int m, int column) {
        const bool inside = m < p.m;
        const int safe = inside ? m : 0;
        taps_[i] = 0;
        const T* a = static_cast<const T*>(p.a) + column;
        if constexpr (kGather == Gather::kPlain) {
            from_[i] = a + static_cast<int64_t>(safe) * p.lda;
            if (inside) taps_[i] = 1;
        } else {
            const int out_x = safe % p.out_width;
            const int rest = safe / p.out_width;
            const int out_y = rest % p.out_height;
            const int image = rest / p.out_height;
            // The pixel of tap (0, 0), or where it would be.
            constexpr bool kForward = kGather == Gather::kForward;
            const int y = kForward ? out_y * p.stride - p.pad_top : out_y + p.pad_top;
            const int x = kForward ? out_x * p.stride - p.pad_left : out_x + p.pad_left;
            const int first_y = kForward ? y : y / p.stride;
            const int first_x = kForward ? x : x / p.stride;
            const int64_t line = static_cast<int64_t>(image) * p.height + first_y;
            from_[i] = a + (line * p.width + first_x) * p.channels;
            if (!inside) return;
            int tap = 0;
            for (int tap_y = 0; tap_y < p.kernel_height; ++tap_y) {
                for (int tap_x = 0; tap_x < p.kernel_width; ++tap_x, ++tap) {
                    if (sees(p, y, tap_y, p.height) && sees(p, x, tap_x, p.width)) {
                        taps_[i] |= 1U << tap;
                    }
                }
            }
        }
    }

    // Whether the tap leads to a pixel of the image, along one axis.
    __device__ static __forceinline__ bool sees(const ProductArgs& p, int at, int tap, int size) {
        if constexpr (kGather == Gather::kForward) {
            return at + tap >= 0 && at + tap < size;
        } else {
            const int from = at - tap;
            return from >= 0 && from % p.stride == 0 && from / p.stride < size;
        }
    }

    const T* from_[kCount];
    unsigned taps_[kCount];  // bit by tap; plain rows have one
    int channel_;
    int tap_ = 0;
    int tap_y_ = 0;
    int tap_x_ = 0;
};

// B with k contiguous: the tile's rows are columns n of the product.
// B with n contiguous: the tile is blocks of 64 columns, whose rows are k.
// A thread copies the same 16 bytes of every kThreads/8-th row, in each block.
template <typename T, bool kDepthContiguous, typename Tile>
class ColumnsOfB {
public:
    __device__ __forceinline__
    ColumnsOfB(const T* b, int64_t stride_k, int64_t stride_n, int columns, int first_column)
        : b_(b), step_((kDepthContiguous ? stride_n : stride_k) * kStep) {
        const int n = first_column + (kDepthContiguous ? row() : column() * 8);
        left_ = columns - n;
        from_ = b + (kDepthContiguous ? n * stride_n + column() * 8 : row() * stride_k + n);
    }

    // The next 64 rows of B (of k), of which `left` count; `offset` elements from the first.
    __device__ __forceinline__ void load(int64_t offset, int left, uint32_t dst) const {
        const T* from = from_ + offset;
        const uint32_t to = dst + row() * Tile::kRowBytes + ((column() ^ (row() & 7)) * 16);
        constexpr int kRows = kDepthContiguous ? Tile::kColumns : Tile::kDepth;
        constexpr int kBlocks = kDepthContiguous ? 1 : (Tile::kColumns + 63) / 64;
#pragma unroll
        for (int i = 0; i * kStep < kRows; ++i) {
            if ((i + 1) * kStep > kRows && row() + i * kStep >= kRows) continue;
#pragma unroll
            for (int j = 0; j < kBlocks; ++j) {
                if ((j + 1) * 64 > Tile::kColumns && j * 64 + column() * 8 >= Tile::kColumns) {
                    continue;
                }
                const bool valid = kDepthContiguous ? i * kStep < left_ && column() * 8 < left
                                                    : j * 64 < left_ && row() + i * kStep < left;
                copy_16_bytes(to + i * kStep * Tile::kRowBytes + j * (64 * 128),
                              valid ? from + i * step_ + j * 64 : b_,
                              valid);
            }
        }
    }

private:
    static constexpr int kStep = Tile::kThreads / 8;
    __device__ static __forceinline__ int column() { return static_cast<int>(threadIdx.x) % 8; }
    __device__ static __forceinline__ int row() { return static_cast<int>(threadIdx.x) / 8; }

    const T* b_;
    const T* from_;
    int64_t step_;  // elements between two rows of one thread
    int left_;      // columns from this thread's first one to the edge
};

// One step of the second product's A, which is plain.
template <typename T, typename Tile>
__device__ __forceinline__ void load_second_a(const ProductArgs& p,
                                              int first_row,
                                              int k,
                                              uint32_t dst) {
    const T* a = static_cast<const T*>(p.a2);
    constexpr int kCount = Tile::kRows * 8 / Tile::kThreads;
    const int column = static_cast<int>(threadIdx.x) % 8;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
        const int r = static_cast<int>(threadIdx.x) / 8 + i * (Tile::kThreads / 8);
        const bool valid = first_row + r < p.m && k + column * 8 < p.k2;
        const T* from = a + static_cast<int64_t>(first_row + r) * p.k2 + k + column * 8;
        copy_16_bytes(
            dst + r * Tile::kRowBytes + ((column ^ (r & 7)) * 16), valid ? from : a, valid);
    }
}

}  // namespace lora::cuda
