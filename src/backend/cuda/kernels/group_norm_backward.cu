// Gradient of group norm (and of its silu) with respect to x; gamma and beta are frozen.
// Moves x and dy twice, the addend and dx once. fp32 inside, every sum in a fixed order.
// Launch: group_norm.cuh. Checked by tests/support/cases/norm.cpp.
#include "backend/cuda/kernels/group_norm.cuh"

namespace lora::cuda {

// With h = (x - mean) * rstd and d_h = dy * silu'(h * gamma + beta) * gamma:
// dx = rstd * (d_h - mean(d_h) - h * mean(d_h * h)) + addend.

// One pixel's d_h / gamma and h of a column.
template <typename T>
struct GroupGradient {
    static constexpr int kSize = kPer16Bytes<T>;
    float gamma[kSize];
    float beta[kSize];
    GroupStatistics<kSize> s;

    __device__ void load(const GroupNormArgs& p,
                         const GroupBlock& b,
                         const GroupColumn<kSize>& c,
                         const float* stats) {
        const int channel = b.first_channel + c.channel;
        load_elements(static_cast<const T*>(p.gamma) + channel, c.valid, c.whole, gamma);
        load_elements(static_cast<const T*>(p.beta) + channel, c.valid, c.whole, beta);
        s.load(stats, c.channel, p.group_size);
    }
    __device__ void at(const GroupNormArgs& p,
                       const GroupColumn<kSize>& c,
                       int64_t at,
                       float (&dz)[kSize],
                       float (&h)[kSize]) const {
        load_elements(static_cast<const T*>(p.x) + at, c.valid, c.whole, h);
        load_elements(static_cast<const T*>(p.dy) + at, c.valid, c.whole, dz);
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            h[j] = (h[j] - s.mean[j]) * s.rstd[j];
            if (p.silu != 0) dz[j] *= silu_slope<kIsExact<T>>(fmaf(h[j], gamma[j], beta[j]));
        }
    }
};

__device__ __forceinline__ void copy_stats(const GroupNormArgs& p,
                                           const GroupBlock& b,
                                           float* stats) {
    const float* in = p.stats + 2 * (b.image * p.groups + b.first_group);
    for (int i = static_cast<int>(threadIdx.x); i < 2 * b.groups; i += blockDim.x) stats[i] = in[i];
    __syncthreads();
}

// Each slab's sums of d_h and d_h * h by group.
template <typename T>
__device__ void group_norm_backward_sums(const GroupNormArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    extern __shared__ float shared[];
    const GroupBlock b = group_block(p);
    copy_stats(p, b, shared);
    const ChannelSums<kSize> sums(p, shared + 2 * p.chunk_groups);
    for (int i = static_cast<int>(threadIdx.x); i < p.rows * p.columns; i += blockDim.x) {
        const GroupColumn<kSize> c(p, b, i);
        float sum[kSize] = {};
        float sum_h[kSize] = {};
        if (c.valid > 0) {
            GroupGradient<T> gradient;
            gradient.load(p, b, c, shared);
            const int64_t offset = c.offset(p, b);
#pragma unroll 2
            for (int64_t pixel = b.begin + c.row; pixel < b.end; pixel += p.rows) {
                float dz[kSize];
                float h[kSize];
                gradient.at(p, c, offset + pixel * p.channels, dz, h);
#pragma unroll
                for (int j = 0; j < kSize; ++j) {
                    sum[j] += dz[j];
                    sum_h[j] = fmaf(dz[j], h[j], sum_h[j]);
                }
            }
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                sum[j] *= gradient.gamma[j];
                sum_h[j] *= gradient.gamma[j];
            }
        }
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            const int at = sums.at(c.row, c.channel + j);
            sums.first[at] = sum[j];
            sums.second[at] = sum_h[j];
        }
    }
    __syncthreads();
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (int group = static_cast<int>(threadIdx.x) / 32; group < b.groups;
         group += static_cast<int>(blockDim.x) / 32) {
        float sum = 0;
        float sum_h = 0;
        for (int e = lane; e < p.rows * p.group_size; e += 32) {
            const int row = e / p.group_size;
            const int at = sums.at(row, group * p.group_size + e - row * p.group_size);
            sum += sums.first[at];
            sum_h += sums.second[at];
        }
        sum = warp_sum(sum);
        sum_h = warp_sum(sum_h);
        if (lane == 0) {
            float* partial = group_partial(p, b, group) + 2 * blockIdx.y;
            partial[0] = sum;
            partial[1] = sum_h;
        }
    }
}

template <typename T>
__device__ void group_norm_backward(const GroupNormArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    extern __shared__ float shared[];
    const GroupBlock b = group_block(p);
    float* means = shared + 2 * p.chunk_groups;  // of d_h and d_h * h, by group
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float inverse = 1.0F / (static_cast<float>(p.pixels) * static_cast<float>(p.group_size));
    for (int group = static_cast<int>(threadIdx.x) / 32; group < b.groups;
         group += static_cast<int>(blockDim.x) / 32) {
        const auto* partial = reinterpret_cast<const float2*>(group_partial(p, b, group));
        float sum = 0;
        float sum_h = 0;
        for (int i = lane; i < p.slabs; i += 32) {
            sum += partial[i].x;
            sum_h += partial[i].y;
        }
        sum = warp_sum(sum);
        sum_h = warp_sum(sum_h);
        if (lane == 0) {
            means[2 * group] = sum * inverse;
            means[2 * group + 1] = sum_h * inverse;
        }
    }
    copy_stats(p, b, shared);
    for (int i = static_cast<int>(threadIdx.x); i < p.rows * p.columns; i += blockDim.x) {
        const GroupColumn<kSize> c(p, b, i);
        if (c.valid <= 0) continue;
        GroupGradient<T> gradient;
        gradient.load(p, b, c, shared);
        GroupStatistics<kSize> mean;  // of d_h in .mean, of d_h * h in .rstd
        mean.load(means, c.channel, p.group_size);
        const int64_t offset = c.offset(p, b);
        for (int64_t pixel = b.begin + c.row; pixel < b.end; pixel += p.rows) {
            const int64_t at = offset + pixel * p.channels;
            float dz[kSize];
            float h[kSize];
            gradient.at(p, c, at, dz, h);
            float addend[kSize] = {};
            if (p.addend != nullptr) {
                load_elements(static_cast<const T*>(p.addend) + at, c.valid, c.whole, addend);
            }
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                const float centred =
                    fmaf(dz[j], gradient.gamma[j], -mean.mean[j]) - h[j] * mean.rstd[j];
                dz[j] = fmaf(gradient.s.rstd[j], centred, addend[j]);
            }
            store_elements(static_cast<T*>(p.dst) + at, c.valid, c.whole, dz);
        }
    }
}

#define LORA_GROUP_NORM(suffix, type)                               \
    extern "C" __global__ void __launch_bounds__(kGroupNormThreads) \
        group_norm_backward_sums_##suffix(const GroupNormArgs p) {  \
        group_norm_backward_sums<type>(p);                          \
    }                                                               \
    extern "C" __global__ void __launch_bounds__(kGroupNormThreads) \
        group_norm_backward_##suffix(const GroupNormArgs p) {       \
        group_norm_backward<type>(p);                               \
    }
LORA_FOR_ELEMENTS(LORA_GROUP_NORM)

}  // namespace lora::cuda
