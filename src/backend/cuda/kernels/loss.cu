// The weighted loss and its gradient. Sums in fp64, parts in their order.
// Launch: 256 threads a block. Checked by tests/support/cases/loss.cpp.
#include "backend/cuda/kernels/loss_args.h"
#include "backend/cuda/kernels/pieces.cuh"

namespace lora::cuda {

__device__ __forceinline__ float mask_at(const LossTerms& t, int64_t row, int64_t column) {
    return t.mask == nullptr ? 1.0F : t.mask[row * t.mask_length + column % t.mask_length];
}

// Sum of f over one part of one row, a block each. Plain squares are those of fp64 differences.
template <typename T>
__device__ void weighted_loss(const WeightedLossArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    __shared__ double partial[32];
    const int64_t row = blockIdx.x / p.parts;
    const int64_t begin = blockIdx.x % p.parts * kLossPart;
    const int64_t end = min(p.length, begin + kLossPart);
    const T* prediction = static_cast<const T*>(p.prediction) + row * p.length;
    const T* target = static_cast<const T*>(p.target) + row * p.length;
    const bool plain = p.terms.kind == ir::LossKind::kL2 && p.terms.mask == nullptr;
    const float c = p.terms.c == nullptr ? 0.0F : p.terms.c[row];
    double sum = 0;
    for (int64_t i = begin + static_cast<int64_t>(threadIdx.x) * kSize; i < end;
         i += static_cast<int64_t>(blockDim.x) * kSize) {
        const int valid = static_cast<int>(min(end - i, static_cast<int64_t>(kSize)));
        const bool whole = p.aligned != 0 && valid == kSize;
        float x[kSize];
        float y[kSize];
        load_elements(prediction + i, valid, whole, x);
        load_elements(target + i, valid, whole, y);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            if (plain) {
                const double difference = static_cast<double>(x[j]) - static_cast<double>(y[j]);
                sum += difference * difference;
            } else if (j < valid) {
                const float f = backend::loss_value(p.terms.kind, x[j] - y[j], c);
                sum += static_cast<double>(mask_at(p.terms, row, i + j) * f);
            }
        }
    }
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) p.partial[blockIdx.x] = sum;
}

#define LORA_WEIGHTED_LOSS(suffix, type)                                          \
    extern "C" __global__ void weighted_loss_##suffix(const WeightedLossArgs p) { \
        weighted_loss<type>(p);                                                   \
    }
LORA_FOR_ELEMENTS(LORA_WEIGHTED_LOSS)

// The means of all rows and their weighted mean; one block.
extern "C" __global__ void weighted_loss_finish(const WeightedLossArgs p) {
    __shared__ double partial[32];
    double loss = 0;
    for (int64_t row = threadIdx.x; row < p.rows; row += blockDim.x) {
        double sum = 0;
        for (int64_t i = 0; i < p.parts; ++i) sum += p.partial[row * p.parts + i];
        const double mean = sum / static_cast<double>(p.length);
        p.losses[row] = static_cast<float>(mean);
        loss += static_cast<double>(p.weights[row]) * mean;
    }
    loss = block_sum(loss, partial);
    if (threadIdx.x == 0) *p.loss = static_cast<float>(loss / static_cast<double>(p.rows));
}

template <typename T>
__device__ void weighted_loss_backward(const WeightedLossBackwardArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        const int64_t at = piece.row * p.extent.length + piece.column;
        const float factor = p.factor * p.weights[piece.row];
        const float c = p.terms.c == nullptr ? 0.0F : p.terms.c[piece.row];
        float x[kSize];
        float y[kSize];
        load_elements(static_cast<const T*>(p.prediction) + at, piece, x);
        load_elements(static_cast<const T*>(p.target) + at, piece, y);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            if (j >= piece.valid) continue;
            const float slope = backend::loss_slope(p.terms.kind, x[j] - y[j], c);
            x[j] = factor * mask_at(p.terms, piece.row, piece.column + j) * slope;
        }
        store_elements(static_cast<T*>(p.dst) + at, piece, x);
    });
}

#define LORA_WEIGHTED_LOSS_BACKWARD(suffix, type)                                                  \
    extern "C" __global__ void weighted_loss_backward_##suffix(const WeightedLossBackwardArgs p) { \
        weighted_loss_backward<type>(p);                                                           \
    }
LORA_FOR_ELEMENTS(LORA_WEIGHTED_LOSS_BACKWARD)

}  // namespace lora::cuda
