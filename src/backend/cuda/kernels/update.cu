// Gradient norm and clipping, and the limit of a weight change. Launch: 256 threads a block.
// Checked by tests/support/cases/update.cpp.
#include "backend/cuda/kernels/pieces.cuh"
#include "backend/cuda/kernels/update_args.h"
#include "backend/norm_limit.h"

namespace lora::cuda {

// A block's share of the sum of x^2, in fp64. Reads every element once.
template <typename T>
__device__ void sum_squares(const SumSquaresArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    __shared__ double partial[32];
    double sum = 0;
    each_piece<kSize>(p.extent, [&](const Piece& piece) {
        float x[kSize];
        load_elements(static_cast<const T*>(p.x) + piece.column, piece, x);
        double squares = 0;
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            squares += static_cast<double>(x[j]) * static_cast<double>(x[j]);
        }
        sum += squares;
    });
    sum = block_sum(sum, partial);
    if (threadIdx.x == 0) p.partial[blockIdx.x] = sum;
}

#define LORA_SUM_SQUARES(suffix, type)                                        \
    extern "C" __global__ void sum_squares_##suffix(const SumSquaresArgs p) { \
        sum_squares<type>(p);                                                 \
    }
LORA_FOR_ELEMENTS(LORA_SUM_SQUARES)

// The sums of all blocks and the addend; one block.
extern "C" __global__ void sum_squares_finish(const SumSquaresArgs p) {
    __shared__ double partial[32];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < p.parts; i += blockDim.x) sum += p.partial[i];
    sum = block_sum(sum, partial);
    if (threadIdx.x != 0) return;
    if (p.addend != nullptr) sum += static_cast<double>(*p.addend);
    *p.sum = static_cast<float>(sum);
}

// min(1, max_norm / (norm + 1e-6)); one thread. A norm that is NaN makes the coefficient NaN.
extern "C" __global__ void clip_coefficient(const ClipCoefficientArgs p) {
    const double norm = sqrt(static_cast<double>(*p.sum_squares));
    const double ratio = p.max_norm / (norm + 1e-6);
    *p.coefficient = p.max_norm == 0 || ratio > 1 ? 1.0F : static_cast<float>(ratio);
    *p.norm = static_cast<float>(norm);
}

// Shrinks a weight change to a norm of `most`. Launches of a graph follow each other by `stats`.
extern "C" __global__ void limit_norm(const LimitNormArgs p) {
    const double norm = sqrt(static_cast<double>(*p.sum_squares));
    const double ratio = backend::limit_ratio(norm, p.most);
    if (blockIdx.x == 0 && threadIdx.x == 0) backend::count_limit(norm, ratio, p.stats);
    if (ratio == 1.0) return;
    const auto factor = static_cast<float>(pow(ratio, 1.0 / p.factors));
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int f = 0; f < ir::kMostLimitFactors; ++f) {
        for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
             i < p.sizes[f];
             i += step) {
            p.values[f][i] *= factor;
        }
    }
}

}  // namespace lora::cuda
