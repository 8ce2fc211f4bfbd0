// Activations, geglu, sums and scales: fp32 inside, 16-byte pieces, grid-stride.
// Every element is read before the thread that read it writes in its place.
// Launch: 256 threads a block, piece_grid blocks. Checked by tests/support/cases/elementwise.cpp.
#include "backend/cuda/kernels/activation.cuh"
#include "backend/cuda/kernels/elementwise_args.h"
#include "backend/cuda/kernels/pieces.cuh"

namespace lora::cuda {

// dst = alpha * f(x). Moves 2 values an element.
template <typename T>
__device__ void activation(const ActivationArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        float x[kSize];
        load_elements(static_cast<const T*>(p.x) + at, piece, x);
#pragma unroll
        for (float& value : x) value = p.alpha * activate<kIsExact<T>>(p.function, value);
        store_elements(static_cast<T*>(p.dst) + at, piece, x);
    });
}

// dst = dy * f'(x). Moves 3 values an element.
template <typename T>
__device__ void activation_backward(const ActivationArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        float x[kSize];
        float dy[kSize];
        load_elements(static_cast<const T*>(p.x) + at, piece, x);
        load_elements(static_cast<const T*>(p.dy) + at, piece, dy);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            dy[j] *= activation_slope<kIsExact<T>>(p.function, x[j]);
        }
        store_elements(static_cast<T*>(p.dst) + at, piece, dy);
    });
}

// dst = value * gelu(gate). Moves 3 values an element of dst.
template <typename T>
__device__ void geglu(const GegluArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        const T* x = static_cast<const T*>(p.x) + at + piece.row * p.extent.length;
        float value[kSize];
        float gate[kSize];
        load_elements(x, piece, value);
        load_elements(x + p.extent.length, piece, gate);
#pragma unroll
        for (int j = 0; j < kSize; ++j) value[j] *= gate[j] * normal_cdf<kIsExact<T>>(gate[j]);
        store_elements(static_cast<T*>(p.dst) + at, piece, value);
    });
}

// d_value = dy * gelu(gate); d_gate = dy * value * gelu'(gate). Moves 5 values an element of dy.
template <typename T>
__device__ void geglu_backward(const GegluArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        const int64_t pair = at + piece.row * p.extent.length;
        const T* x = static_cast<const T*>(p.x) + pair;
        float dy[kSize];
        float value[kSize];
        float gate[kSize];
        load_elements(static_cast<const T*>(p.dy) + at, piece, dy);
        load_elements(x, piece, value);
        load_elements(x + p.extent.length, piece, gate);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            const float cdf = normal_cdf<kIsExact<T>>(gate[j]);
            const float slope = fmaf(gate[j], normal_density<kIsExact<T>>(gate[j]), cdf);
            value[j] *= dy[j] * slope;
            gate[j] *= dy[j] * cdf;
        }
        T* dst = static_cast<T*>(p.dst) + pair;
        store_elements(dst, piece, gate);
        store_elements(dst + p.extent.length, piece, value);
    });
}

// dst = a + b or a * b, b a row for rows_per_b rows of a. Moves up to 3 values an element.
template <typename T, bool kProduct>
__device__ void pair(const AddArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        const auto b_row = static_cast<int64_t>(static_cast<uint64_t>(piece.row) /
                                                static_cast<uint64_t>(p.rows_per_b));
        float a[kSize];
        float b[kSize];
        load_elements(static_cast<const T*>(p.a) + at, piece, a);
        load_elements(
            static_cast<const T*>(p.b) + b_row * p.extent.length + piece.column, piece, b);
#pragma unroll
        for (int j = 0; j < kSize; ++j) a[j] = kProduct ? a[j] * b[j] : a[j] + b[j];
        store_elements(static_cast<T*>(p.dst) + at, piece, a);
    });
}

// dst = a + b, b one element for each row of a (add_channel of row-major images).
template <typename T>
__device__ void add_plane(const AddArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        const float b = to_float(static_cast<const T*>(p.b)[piece.row]);
        float a[kSize];
        load_elements(static_cast<const T*>(p.a) + at, piece, a);
#pragma unroll
        for (float& value : a) value += b;
        store_elements(static_cast<T*>(p.dst) + at, piece, a);
    });
}

// dst = a[row] x + b[row] y. Moves 3 values an element.
template <typename T>
__device__ void mix_rows(const MixRowsArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        const float a = p.a[piece.row];
        const float b = p.b[piece.row];
        float x[kSize];
        float y[kSize];
        load_elements(static_cast<const T*>(p.x) + at, piece, x);
        load_elements(static_cast<const T*>(p.y) + at, piece, y);
#pragma unroll
        for (int j = 0; j < kSize; ++j) x[j] = a * x[j] + b * y[j];
        store_elements(static_cast<T*>(p.dst) + at, piece, x);
    });
}

// Sums over a slab of pixels: a thread adds every kSumRows-th pixel of its channels, then the block
// adds its rows in their order. Launch: x = blocks of columns, y = slabs, z = images.
template <typename T>
__device__ void sum_spatial(const SumSpatialArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    __shared__ float sums[kSumRows][kSumColumns * kSize];
    const int column = static_cast<int>(threadIdx.x) % kSumColumns;
    const int row = static_cast<int>(threadIdx.x) / kSumColumns;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kSumColumns * kSize;
    const int64_t channel = first + column * kSize;
    const int64_t image = blockIdx.z;
    const int64_t begin = blockIdx.y * p.slab_pixels;
    const int64_t end = min(p.pixels, begin + p.slab_pixels);
    const int valid = static_cast<int>(min(p.channels - channel, static_cast<int64_t>(kSize)));
    float total[kSize] = {};
    if (valid > 0) {
        const bool whole = p.aligned != 0 && valid == kSize;
        const T* x = static_cast<const T*>(p.x) + image * p.pixels * p.channels + channel;
#pragma unroll 4
        for (int64_t pixel = begin + row; pixel < end; pixel += kSumRows) {
            float value[kSize];
            load_elements(x + pixel * p.channels, valid, whole, value);
#pragma unroll
            for (int j = 0; j < kSize; ++j) total[j] += value[j];
        }
    }
#pragma unroll
    for (int j = 0; j < kSize; ++j) sums[row][column * kSize + j] = total[j];
    __syncthreads();
    float* partial = p.partial + (image * p.slabs + blockIdx.y) * p.channels;
    for (int j = static_cast<int>(threadIdx.x); j < kSumColumns * kSize; j += blockDim.x) {
        if (first + j >= p.channels) break;
        float sum = 0;
#pragma unroll
        for (int i = 0; i < kSumRows; ++i) sum += sums[i][j];
        partial[first + j] = sum;
    }
}

// The slabs' sums, in their order: one thread a channel.
template <typename T>
__device__ void sum_spatial_finish(const SumSpatialArgs& p) {
    const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= p.images * p.channels) return;
    const float* partial = p.partial + i / p.channels * p.slabs * p.channels + i % p.channels;
    float sum = 0;
#pragma unroll 4
    for (int64_t slab = 0; slab < p.slabs; ++slab) sum += partial[slab * p.channels];
    static_cast<T*>(p.dst)[i] = from_float<T>(sum);
}

// Row-major images: one block a plane.
template <typename T>
__device__ void sum_spatial_plane(const SumSpatialArgs& p) {
    __shared__ float partial[32];
    const T* x = static_cast<const T*>(p.x) + static_cast<int64_t>(blockIdx.x) * p.pixels;
    float sum = 0;
    for (int64_t i = threadIdx.x; i < p.pixels; i += blockDim.x) sum += to_float(x[i]);
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) static_cast<T*>(p.dst)[blockIdx.x] = from_float<T>(sum);
}

#define LORA_ELEMENTWISE(suffix, type)                                                       \
    extern "C" __global__ void activation_##suffix(const ActivationArgs p) {                 \
        activation<type>(p);                                                                 \
    }                                                                                        \
    extern "C" __global__ void activation_backward_##suffix(const ActivationArgs p) {        \
        activation_backward<type>(p);                                                        \
    }                                                                                        \
    extern "C" __global__ void geglu_##suffix(const GegluArgs p) { geglu<type>(p); }         \
    extern "C" __global__ void geglu_backward_##suffix(const GegluArgs p) {                  \
        geglu_backward<type>(p);                                                             \
    }                                                                                        \
    extern "C" __global__ void add_##suffix(const AddArgs p) { pair<type, false>(p); }       \
    extern "C" __global__ void multiply_##suffix(const AddArgs p) { pair<type, true>(p); }   \
    extern "C" __global__ void add_plane_##suffix(const AddArgs p) { add_plane<type>(p); }   \
    extern "C" __global__ void mix_rows_##suffix(const MixRowsArgs p) { mix_rows<type>(p); } \
    extern "C" __global__ void sum_spatial_##suffix(const SumSpatialArgs p) {                \
        sum_spatial<type>(p);                                                                \
    }                                                                                        \
    extern "C" __global__ void sum_spatial_finish_##suffix(const SumSpatialArgs p) {         \
        sum_spatial_finish<type>(p);                                                         \
    }                                                                                        \
    extern "C" __global__ void sum_spatial_plane_##suffix(const SumSpatialArgs p) {          \
        sum_spatial_plane<type>(p);                                                          \
    }
LORA_FOR_ELEMENTS(LORA_ELEMENTWISE)

// Neighbouring draws share a block of four words. Moves 2 values an element.
template <typename T>
__device__ void dropout(const DropoutArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        float x[kSize];
        load_elements(static_cast<const T*>(p.x) + piece.column, piece, x);
        int64_t known = -1;
        backend::DrawBlock block{};
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            const int64_t draw = p.draws.draw(piece.column + j);
            if (draw / 4 != known) {
                known = draw / 4;
                block = p.draws.block(p.key, known);
            }
            const auto at = static_cast<int>(draw % 4);
            const uint32_t word = at == 0   ? block.words[0]
                                  : at == 1 ? block.words[1]
                                  : at == 2 ? block.words[2]
                                            : block.words[3];
            x[j] = p.draws.keeps(word) ? p.alpha * x[j] : 0.0F;
        }
        store_elements(static_cast<T*>(p.dst) + piece.column, piece, x);
    });
}

#define LORA_DROPOUT(suffix, type) \
    extern "C" __global__ void dropout_##suffix(const DropoutArgs p) { dropout<type>(p); }
LORA_FOR_ELEMENTS(LORA_DROPOUT)

}  // namespace lora::cuda
