// Layer norm: y = (x - mean) * rstd * gamma + beta over rows, rstd = 1 / sqrt(var + eps), and its
// gradient. A warp a row; rows of up to 1280 elements stay in registers as they were loaded, longer
// or unaligned ones are read again for every pass. fp32 inside.
// Launch: kLayerNormWarps warps a block. Checked by tests/support/cases/norm.cpp.
#include "backend/cuda/kernels/norm_args.h"
#include "backend/cuda/kernels/pieces.cuh"

namespace lora::cuda {

__device__ __forceinline__ int64_t warp_row() {
    return static_cast<int64_t>(blockIdx.x) * kLayerNormWarps + threadIdx.x / 32;
}

// A row spread over a warp: lane l holds vectors l, l + 32, ..
template <typename T>
struct HeldRow {
    static constexpr int kSize = kPer16Bytes<T>;
    static constexpr int kVectors = kLayerNormLaneElements / kSize;
    uint4 held[kVectors];

    __device__ void load(const T* src, int vectors) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
            const int at = lane + 32 * k;
            if (at < vectors) held[k] = reinterpret_cast<const uint4*>(src)[at];
        }
    }
    __device__ void get(int k, float (&x)[kSize]) const {
        load_elements(reinterpret_cast<const T*>(&held[k]), kSize, true, x);
    }
    // Calls fn(k, element) for every vector that this lane holds.
    template <typename Fn>
    __device__ static void each(int vectors, Fn fn) {
        const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
        for (int k = 0; k < kVectors; ++k) {
            if (lane + 32 * k < vectors) fn(k, (lane + 32 * k) * kSize);
        }
    }
};

__device__ __forceinline__ void write_stats(float* stats, float mean, float rstd) {
    if (threadIdx.x % 32 != 0) return;
    stats[0] = mean;
    stats[1] = rstd;
}

template <typename T>
__device__ void layer_norm_held(const LayerNormArgs& p, int64_t row) {
    using Row = HeldRow<T>;
    constexpr int kSize = Row::kSize;
    const float inverse = 1.0F / static_cast<float>(p.size);
    Row x;
    x.load(static_cast<const T*>(p.x) + row * p.size, p.vectors);
    float sum = 0;
    Row::each(p.vectors, [&](int k, int) {
        float value[kSize];
        x.get(k, value);
#pragma unroll
        for (int j = 0; j < kSize; ++j) sum += value[j];
    });
    const float mean = warp_sum(sum) * inverse;
    float squares = 0;
    Row::each(p.vectors, [&](int k, int) {
        float value[kSize];
        x.get(k, value);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            squares = fmaf(value[j] - mean, value[j] - mean, squares);
        }
    });
    const float rstd = 1.0F / sqrtf(fmaf(warp_sum(squares), inverse, p.eps));
    write_stats(p.stats + 2 * row, mean, rstd);
    T* dst = static_cast<T*>(p.dst) + row * p.size;
    Row::each(p.vectors, [&](int k, int at) {
        float value[kSize];
        float gamma[kSize];
        float beta[kSize];
        x.get(k, value);
        load_elements(static_cast<const T*>(p.gamma) + at, kSize, true, gamma);
        load_elements(static_cast<const T*>(p.beta) + at, kSize, true, beta);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            value[j] = fmaf((value[j] - mean) * rstd, gamma[j], beta[j]);
        }
        store_elements(dst + at, kSize, true, value);
    });
}

template <typename T>
__device__ void layer_norm_long(const LayerNormArgs& p, int64_t row) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const T* x = static_cast<const T*>(p.x) + row * p.size;
    const float inverse = 1.0F / static_cast<float>(p.size);
    float sum = 0;
    for (int64_t i = lane; i < p.size; i += 32) sum += to_float(x[i]);
    const float mean = warp_sum(sum) * inverse;
    float squares = 0;
    for (int64_t i = lane; i < p.size; i += 32) {
        const float d = to_float(x[i]) - mean;
        squares = fmaf(d, d, squares);
    }
    const float rstd = 1.0F / sqrtf(fmaf(warp_sum(squares), inverse, p.eps));
    write_stats(p.stats + 2 * row, mean, rstd);
    T* dst = static_cast<T*>(p.dst) + row * p.size;
    for (int64_t i = lane; i < p.size; i += 32) {
        const float gamma = to_float(static_cast<const T*>(p.gamma)[i]);
        const float beta = to_float(static_cast<const T*>(p.beta)[i]);
        dst[i] = from_float<T>(fmaf((to_float(x[i]) - mean) * rstd, gamma, beta));
    }
}

template <typename T>
__device__ void layer_norm(const LayerNormArgs& p) {
    const int64_t row = warp_row();
    if (row >= p.rows) return;
    if (p.vectors > 0) {
        layer_norm_held<T>(p, row);
    } else {
        layer_norm_long<T>(p, row);
    }
}

// With h = (x - mean) * rstd and d_h = dy * gamma:
// dx = rstd * (d_h - mean(d_h) - h * mean(d_h * h)) + addend.
template <typename T>
__device__ void layer_norm_backward_held(const LayerNormArgs& p, int64_t row) {
    using Row = HeldRow<T>;
    constexpr int kSize = Row::kSize;
    const float inverse = 1.0F / static_cast<float>(p.size);
    const float mean = p.stats[2 * row];
    const float rstd = p.stats[2 * row + 1];
    Row x;
    Row dy;
    x.load(static_cast<const T*>(p.x) + row * p.size, p.vectors);
    dy.load(static_cast<const T*>(p.dy) + row * p.size, p.vectors);
    float sum = 0;
    float sum_h = 0;
    Row::each(p.vectors, [&](int k, int at) {
        float value[kSize];
        float gradient[kSize];
        float gamma[kSize];
        x.get(k, value);
        dy.get(k, gradient);
        load_elements(static_cast<const T*>(p.gamma) + at, kSize, true, gamma);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            const float d_h = gradient[j] * gamma[j];
            sum += d_h;
            sum_h = fmaf(d_h, (value[j] - mean) * rstd, sum_h);
        }
    });
    sum = warp_sum(sum) * inverse;
    sum_h = warp_sum(sum_h) * inverse;
    T* dst = static_cast<T*>(p.dst) + row * p.size;
    const T* addend = static_cast<const T*>(p.addend) + row * p.size;
    Row::each(p.vectors, [&](int k, int at) {
        float value[kSize];
        float gradient[kSize];
        float gamma[kSize];
        float add[kSize] = {};
        x.get(k, value);
        dy.get(k, gradient);
        load_elements(static_cast<const T*>(p.gamma) + at, kSize, true, gamma);
        if (p.addend != nullptr) load_elements(addend + at, kSize, true, add);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            const float h = (value[j] - mean) * rstd;
            const float centred = fmaf(gradient[j], gamma[j], -sum) - h * sum_h;
            value[j] = fmaf(rstd, centred, add[j]);
        }
        store_elements(dst + at, kSize, true, value);
    });
}

template <typename T>
__device__ void layer_norm_backward_long(const LayerNormArgs& p, int64_t row) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const T* x = static_cast<const T*>(p.x) + row * p.size;
    const T* dy = static_cast<const T*>(p.dy) + row * p.size;
    const T* gamma = static_cast<const T*>(p.gamma);
    const T* addend = static_cast<const T*>(p.addend) + row * p.size;
    const float inverse = 1.0F / static_cast<float>(p.size);
    const float mean = p.stats[2 * row];
    const float rstd = p.stats[2 * row + 1];
    float sum = 0;
    float sum_h = 0;
    for (int64_t i = lane; i < p.size; i += 32) {
        const float d_h = to_float(dy[i]) * to_float(gamma[i]);
        sum += d_h;
        sum_h = fmaf(d_h, (to_float(x[i]) - mean) * rstd, sum_h);
    }
    sum = warp_sum(sum) * inverse;
    sum_h = warp_sum(sum_h) * inverse;
    T* dst = static_cast<T*>(p.dst) + row * p.size;
    for (int64_t i = lane; i < p.size; i += 32) {
        const float h = (to_float(x[i]) - mean) * rstd;
        const float centred = fmaf(to_float(dy[i]), to_float(gamma[i]), -sum) - h * sum_h;
        const float add = p.addend == nullptr ? 0.0F : to_float(addend[i]);
        dst[i] = from_float<T>(fmaf(rstd, centred, add));
    }
}

template <typename T>
__device__ void layer_norm_backward(const LayerNormArgs& p) {
    const int64_t row = warp_row();
    if (row >= p.rows) return;
    if (p.vectors > 0) {
        layer_norm_backward_held<T>(p, row);
    } else {
        layer_norm_backward_long<T>(p, row);
    }
}

#define LORA_LAYER_NORM(suffix, type)                                                              \
    extern "C" __global__ void layer_norm_##suffix(const LayerNormArgs p) { layer_norm<type>(p); } \
    extern "C" __global__ void layer_norm_backward_##suffix(const LayerNormArgs p) {               \
        layer_norm_backward<type>(p);                                                              \
    }
LORA_FOR_ELEMENTS(LORA_LAYER_NORM)

}  // namespace lora::cuda
