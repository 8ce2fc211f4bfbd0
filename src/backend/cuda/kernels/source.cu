// Embeddings of tokens and of timesteps; weights kept in 8 bits. Launch: 256 threads a block,
// piece_grid blocks. Checked by tests/support/cases/source.cpp.
#include "backend/cuda/kernels/common.cuh"
#include "backend/cuda/kernels/source_args.h"

namespace lora::cuda {

template <typename Unit>
__device__ Unit all_ones() {
    return static_cast<Unit>(~Unit{0});
}
template <>
__device__ uint4 all_ones<uint4>() {
    return {~0U, ~0U, ~0U, ~0U};
}

// dst[i] = table[ids[i]]. A row whose id lies outside the table becomes all ones, which is NaN in
// every type: the loss then is NaN, and training stops.
template <typename Unit>
__device__ void embedding(const EmbeddingArgs& p) {
    const uint64_t step = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    const auto length = static_cast<uint64_t>(p.length);
    const uint64_t units = static_cast<uint64_t>(p.count) * length;
    for (uint64_t i = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < units;
         i += step) {
        const uint64_t row = i / length;
        const int32_t id = p.ids[row];
        Unit value = all_ones<Unit>();
        if (id >= 0 && id < p.vocabulary) {
            value = static_cast<const Unit*>(
                p.table)[static_cast<uint64_t>(id) * length + (i - row * length)];
        }
        static_cast<Unit*>(p.dst)[i] = value;
    }
}

extern "C" __global__ void embedding_b2(const EmbeddingArgs p) { embedding<uint16_t>(p); }
extern "C" __global__ void embedding_b4(const EmbeddingArgs p) { embedding<uint32_t>(p); }
extern "C" __global__ void embedding_b16(const EmbeddingArgs p) { embedding<uint4>(p); }

// Cosine half, then sine half, of t * 10000^(-i / half); a few hundred values, so in fp64.
template <typename T>
__device__ void timestep_embedding(const TimestepEmbeddingArgs& p) {
    constexpr double kLogOf10000 = 9.210340371976184;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
         i < p.count * p.half;
         i += step) {
        const int64_t row = i / p.half;
        const int64_t at = i - row * p.half;
        const double exponent =
            -kLogOf10000 * static_cast<double>(at) / static_cast<double>(p.half);
        const double angle = static_cast<double>(p.timesteps[row]) * exp(exponent);
        double sine = 0;
        double cosine = 0;
        sincos(angle, &sine, &cosine);
        T* dst = static_cast<T*>(p.dst) + row * 2 * p.half + at;
        dst[0] = from_float<T>(static_cast<float>(cosine));
        dst[p.half] = from_float<T>(static_cast<float>(sine));
    }
}

#define LORA_TIMESTEP_EMBEDDING(suffix, type)                                               \
    extern "C" __global__ void timestep_embedding_##suffix(const TimestepEmbeddingArgs p) { \
        timestep_embedding<type>(p);                                                        \
    }
LORA_FOR_ELEMENTS(LORA_TIMESTEP_EMBEDDING)

template <typename T>
__device__ void dequantize(const DequantizeArgs& p) {
    constexpr int kPiece = kDequantizedPiece;
    constexpr int kStore = kPer16Bytes<T>;
    const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
    const int64_t first = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    T* dst = static_cast<T*>(p.dst);
    if (p.aligned == 0) {
        for (int64_t i = first; i < p.count; i += step) {
            const int q = static_cast<int>(p.src[i]) - 128;
            dst[i] = from_float<T>(static_cast<float>(q) * p.scale[i / p.length]);
        }
        return;
    }
    for (int64_t i = first * kPiece; i < p.count; i += step * kPiece) {
        const auto q = *reinterpret_cast<const Vector<uint8_t, kPiece>*>(p.src + i);
        const float scale = p.scale[i / p.length];
#pragma unroll
        for (int j = 0; j < kPiece; j += kStore) {
            Vector<T, kStore> out;
#pragma unroll
            for (int k = 0; k < kStore; ++k) {
                const int centred = static_cast<int>(q.at[j + k]) - 128;
                out.at[k] = from_float<T>(static_cast<float>(centred) * scale);
            }
            *reinterpret_cast<Vector<T, kStore>*>(dst + i + j) = out;
        }
    }
}

#define LORA_DEQUANTIZE(suffix, type) \
    extern "C" __global__ void dequantize_##suffix(const DequantizeArgs p) { dequantize<type>(p); }
LORA_FOR_ELEMENTS(LORA_DEQUANTIZE)

}  // namespace lora::cuda
