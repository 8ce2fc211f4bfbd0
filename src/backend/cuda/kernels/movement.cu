// Copies between layouts and types, joins, cuts, and nearest-neighbour resizing.
// Launch: 256 threads a block, piece_grid blocks (transpose: a block a 32 x 32 tile).
// Each byte is read and written once. Checked by tests/support/cases/movement.cpp.
#include "backend/cuda/kernels/movement_args.h"
#include "backend/cuda/kernels/pieces.cuh"

namespace lora::cuda {

constexpr int kCastSize = 8;

template <typename Src, typename Dst>
__device__ void cast_to(const CastArgs& p) {
    each_piece<kCastSize>(p.extent, [&](const Piece& piece) {
        float x[kCastSize];
        load_elements(static_cast<const Src*>(p.src) + piece.column, piece, x);
        Dst* dst = static_cast<Dst*>(p.dst) + piece.column;
        if (p.accumulate != 0) {
            float sum[kCastSize];
            load_elements(dst, piece, sum);
#pragma unroll
            for (int j = 0; j < kCastSize; ++j) x[j] += sum[j];
        }
        store_elements(dst, piece, x);
    });
}

template <typename Src>
__device__ void cast(const CastArgs& p) {
    if (p.dst_type == 0) cast_to<Src, float>(p);
    if (p.dst_type == 1) cast_to<Src, __nv_bfloat16>(p);
    if (p.dst_type == 2) cast_to<Src, __half>(p);
}

#define LORA_CAST(suffix, type) \
    extern "C" __global__ void cast_##suffix(const CastArgs p) { cast<type>(p); }
LORA_FOR_ELEMENTS(LORA_CAST)

// Units instead of elements: one a thread and turn.
template <typename Fn>
__device__ __forceinline__ void each_unit(int64_t count, Fn fn) {
    const uint64_t step = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
         i < static_cast<uint64_t>(count);
         i += step) {
        fn(i);
    }
}

// Concat, slice and pad: every dst row is three stretches, each copied or zero.
template <typename Unit>
__device__ void join(const JoinArgs& p) {
    Unit* dst = static_cast<Unit*>(p.dst);
    each_unit(p.rows * p.length, [&](uint64_t i) {
        const uint64_t row = i / static_cast<uint64_t>(p.length);
        auto column = static_cast<int64_t>(i - row * static_cast<uint64_t>(p.length));
        JoinPart part = p.parts[0];
        if (column >= part.length) {
            column -= part.length;
            part = p.parts[1];
            if (column >= part.length) {
                column -= part.length;
                part = p.parts[2];
            }
        }
        Unit value{};
        if (part.src != nullptr) {
            value = static_cast<const Unit*>(
                part.src)[static_cast<int64_t>(row) * part.src_row + part.src_begin + column];
        }
        dst[i] = value;
    });
}

// Through a tile in shared memory, padded so that columns do not share a bank.
template <typename Unit>
__device__ void transpose(const TransposeArgs& p) {
    __shared__ Unit tile[kTransposeTile][kTransposeTile + 1];
    const int64_t tiles = p.row_tiles * p.column_tiles;
    const int64_t image = blockIdx.x / tiles;
    const int64_t rest = blockIdx.x % tiles;
    const int64_t row = rest / p.column_tiles * kTransposeTile;
    const int64_t column = rest % p.column_tiles * kTransposeTile;
    const Unit* src = static_cast<const Unit*>(p.src) + image * p.rows * p.columns;
    Unit* dst = static_cast<Unit*>(p.dst) + image * p.rows * p.columns;
    const int x = static_cast<int>(threadIdx.x) % kTransposeTile;
    const int y = static_cast<int>(threadIdx.x) / kTransposeTile;
#pragma unroll
    for (int i = y; i < kTransposeTile; i += kTransposeRows) {
        if (row + i < p.rows && column + x < p.columns) {
            tile[i][x] = src[(row + i) * p.columns + column + x];
        }
    }
    __syncthreads();
#pragma unroll
    for (int i = y; i < kTransposeTile; i += kTransposeRows) {
        if (column + i < p.columns && row + x < p.rows) {
            dst[(column + i) * p.rows + row + x] = tile[x][i];
        }
    }
}

template <typename Unit>
__device__ void swap_axes(const SwapArgs& p) {
    each_unit(p.images * p.a * p.b * p.length, [&](uint64_t i) {
        const uint64_t stretch = i / static_cast<uint64_t>(p.length);
        const uint64_t line = stretch / static_cast<uint64_t>(p.a);
        const uint64_t image = line / static_cast<uint64_t>(p.b);
        const uint64_t a = stretch - line * static_cast<uint64_t>(p.a);
        const uint64_t b = line - image * static_cast<uint64_t>(p.b);
        const uint64_t from =
            (image * static_cast<uint64_t>(p.a) + a) * static_cast<uint64_t>(p.b) + b;
        static_cast<Unit*>(p.dst)[i] =
            static_cast<const Unit*>(p.src)[from * static_cast<uint64_t>(p.length) +
                                            (i - stretch * static_cast<uint64_t>(p.length))];
    });
}

// Every unit of src goes to a cell of 2 x 2 pixels.
template <typename Unit>
__device__ void upsample2x(const UpsampleArgs& p) {
    const auto length = static_cast<uint64_t>(p.length);
    const auto width = static_cast<uint64_t>(p.width);
    each_unit(p.lines * p.width * p.length, [&](uint64_t i) {
        const Unit value = static_cast<const Unit*>(p.src)[i];
        const uint64_t pixel = i / length;
        const uint64_t line = pixel / width;
        // Pixels before it: 4 * width for each line before, 2 for each pixel before in its line.
        const uint64_t at = (2 * pixel + 2 * line * width) * length + (i - pixel * length);
        Unit* top = static_cast<Unit*>(p.dst) + at;
        Unit* bottom = top + 2 * width * length;
        top[0] = value;
        top[length] = value;
        bottom[0] = value;
        bottom[length] = value;
    });
}

#define LORA_UNITS(suffix, type)                                                            \
    extern "C" __global__ void join_##suffix(const JoinArgs p) { join<type>(p); }           \
    extern "C" __global__ void swap_axes_##suffix(const SwapArgs p) { swap_axes<type>(p); } \
    extern "C" __global__ void upsample2x_##suffix(const UpsampleArgs p) { upsample2x<type>(p); }
LORA_UNITS(b2, uint16_t)
LORA_UNITS(b4, uint32_t)
LORA_UNITS(b16, uint4)

extern "C" __global__ void transpose_b2(const TransposeArgs p) { transpose<uint16_t>(p); }
extern "C" __global__ void transpose_b4(const TransposeArgs p) { transpose<uint32_t>(p); }

// dst pixel = sum of its 2 x 2 cell of src, in fp32.
template <typename T>
__device__ void upsample2x_backward(const UpsampleArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    const Extent extent{p.lines * p.width, p.length, p.aligned};
    each_piece<kSize>(extent, [&](const Piece& piece) {
        const int64_t line =
            static_cast<int64_t>(static_cast<uint64_t>(piece.row) / static_cast<uint64_t>(p.width));
        const int64_t pixel = 2 * piece.row + 2 * line * p.width;
        const T* top = static_cast<const T*>(p.src) + pixel * p.length + piece.column;
        const T* bottom = top + 2 * p.width * p.length;
        float cell[4][kSize];
        load_elements(top, piece, cell[0]);
        load_elements(top + p.length, piece, cell[1]);
        load_elements(bottom, piece, cell[2]);
        load_elements(bottom + p.length, piece, cell[3]);
        float sum[kSize];
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            sum[j] = (cell[0][j] + cell[1][j]) + (cell[2][j] + cell[3][j]);
        }
        store_elements(static_cast<T*>(p.dst) + piece.row * p.length + piece.column, piece, sum);
    });
}

#define LORA_UPSAMPLE_BACKWARD(suffix, type)                                        \
    extern "C" __global__ void upsample2x_backward_##suffix(const UpsampleArgs p) { \
        upsample2x_backward<type>(p);                                               \
    }
LORA_FOR_ELEMENTS(LORA_UPSAMPLE_BACKWARD)

// One unit of 8 columns a thread and turn.
extern "C" __global__ void spread(const SpreadArgs p) {
    const int units = p.columns / 8;
    each_unit(p.points * units, [&](uint64_t i) {
        const auto point = static_cast<int64_t>(i / static_cast<uint64_t>(units));
        const int first = static_cast<int>(i - static_cast<uint64_t>(point) * units) * 8;
        const auto x = static_cast<int>(point % p.width);
        const int64_t line = point / p.width;
        const auto y = static_cast<int>(line % p.height);
        const int64_t image = line / p.height;
        Vector<uint16_t, 8> unit;
#pragma unroll
        for (int j = 0; j < 8; ++j) {
            const int tap = (first + j) / p.channels;
            const int channel = first + j - tap * p.channels;
            const int tap_y = tap / p.kernel_width;
            const int from_y = y + p.pad_top - tap_y;
            const int from_x = x + p.pad_left - (tap - tap_y * p.kernel_width);
            const int out_y = from_y / p.stride;
            const int out_x = from_x / p.stride;
            const bool made = tap < p.taps && from_y >= 0 && from_x >= 0 &&
                              out_y * p.stride == from_y && out_x * p.stride == from_x &&
                              out_y < p.out_height && out_x < p.out_width;
            const int64_t pixel = (image * p.out_height + out_y) * p.out_width + out_x;
            unit.at[j] =
                made ? static_cast<const uint16_t*>(p.src)[pixel * p.channels + channel] : 0;
        }
        static_cast<Vector<uint16_t, 8>*>(p.dst)[i] = unit;
    });
}

}  // namespace lora::cuda
