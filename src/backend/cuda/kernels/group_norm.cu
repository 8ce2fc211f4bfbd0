// Group norm over channels-last images: y = (x - mean) * rstd * gamma + beta, then silu if asked;
// rstd = 1 / sqrt(var + eps). Statistics and arithmetic in fp32, every sum in a fixed order.
// Moves x twice and y once. Launch: group_norm.cuh. Checked by tests/support/cases/norm.cpp.
#include "backend/cuda/kernels/group_norm.cuh"

namespace lora::cuda {

// Each thread's channels: mean and centred squares of its pixels, through sums shifted by the first
// pixel. Merged into mean and centred squares of the slab's part of a group.
template <typename T>
__device__ void group_norm_stats(const GroupNormArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    extern __shared__ float shared[];
    const GroupBlock b = group_block(p);
    const ChannelSums<kSize> sums(p, shared);
    for (int i = static_cast<int>(threadIdx.x); i < p.rows * p.columns; i += blockDim.x) {
        const GroupColumn<kSize> c(p, b, i);
        const T* x = static_cast<const T*>(p.x) + c.offset(p, b);
        float shift[kSize] = {};
        float sum[kSize] = {};
        float squares[kSize] = {};
        const int64_t first = b.begin + c.row;
        float count = 0;
        if (first < b.end && c.valid > 0) {
            load_elements(x + first * p.channels, c.valid, c.whole, shift);
            count = 1;
#pragma unroll 4
            for (int64_t pixel = first + p.rows; pixel < b.end; pixel += p.rows) {
                float value[kSize];
                load_elements(x + pixel * p.channels, c.valid, c.whole, value);
#pragma unroll
                for (int j = 0; j < kSize; ++j) {
                    const float d = value[j] - shift[j];
                    sum[j] += d;
                    squares[j] = fmaf(d, d, squares[j]);
                }
                count += 1;
            }
        }
        const float inverse = count > 0 ? 1.0F / count : 0.0F;
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            const int at = sums.at(c.row, c.channel + j);
            const float mean = sum[j] * inverse;
            sums.first[at] = shift[j] + mean;
            sums.second[at] = fmaxf(fmaf(-sum[j], mean, squares[j]), 0.0F);
        }
    }
    __syncthreads();
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int slab = static_cast<int>(b.end - b.begin);
    const int full = slab / p.rows;
    const int extra = slab % p.rows;  // rows of threads with one pixel more
    for (int group = static_cast<int>(threadIdx.x) / 32; group < b.groups;
         group += static_cast<int>(blockDim.x) / 32) {
        const int entries = p.rows * p.group_size;
        float total = 0;
        for (int e = lane; e < entries; e += 32) {
            const int row = e / p.group_size;
            const int at = sums.at(row, group * p.group_size + e - row * p.group_size);
            total += static_cast<float>(full + (row < extra ? 1 : 0)) * sums.first[at];
        }
        const float mean = warp_sum(total) / static_cast<float>(slab * p.group_size);
        float squares = 0;
        for (int e = lane; e < entries; e += 32) {
            const int row = e / p.group_size;
            const int at = sums.at(row, group * p.group_size + e - row * p.group_size);
            const float d = sums.first[at] - mean;
            squares += sums.second[at] + static_cast<float>(full + (row < extra ? 1 : 0)) * d * d;
        }
        squares = warp_sum(squares);
        if (lane == 0) {
            float* partial = group_partial(p, b, group) + 2 * blockIdx.y;
            partial[0] = mean;
            partial[1] = squares;
        }
    }
}

// Merges the slabs of the block's groups into `stats` (shared); the first slab's block also writes
// them out.
__device__ __forceinline__ void merge_slabs(const GroupNormArgs& p,
                                            const GroupBlock& b,
                                            float* stats) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float inverse = 1.0F / static_cast<float>(p.pixels);
    // The last slab may be smaller.
    const auto usual = static_cast<float>(p.slab_pixels);
    const auto last = static_cast<float>(p.pixels - (p.slabs - 1) * p.slab_pixels);
    for (int group = static_cast<int>(threadIdx.x) / 32; group < b.groups;
         group += static_cast<int>(blockDim.x) / 32) {
        const auto* partial = reinterpret_cast<const float2*>(group_partial(p, b, group));
        float total = 0;
        for (int i = lane; i < p.slabs; i += 32) {
            total += (i + 1 < p.slabs ? usual : last) * partial[i].x;
        }
        const float mean = warp_sum(total) * inverse;
        float squares = 0;
        for (int i = lane; i < p.slabs; i += 32) {
            const float d = partial[i].x - mean;
            const float count = (i + 1 < p.slabs ? usual : last) * static_cast<float>(p.group_size);
            squares += fmaf(count * d, d, partial[i].y);
        }
        squares = warp_sum(squares);
        if (lane == 0) {
            const float variance = squares * (inverse / static_cast<float>(p.group_size));
            const float rstd = 1.0F / sqrtf(variance + p.eps);
            stats[2 * group] = mean;
            stats[2 * group + 1] = rstd;
            if (blockIdx.y == 0) {
                float* out = p.stats + 2 * (b.image * p.groups + b.first_group + group);
                out[0] = mean;
                out[1] = rstd;
            }
        }
    }
    __syncthreads();
}

template <typename T>
__device__ void group_norm(const GroupNormArgs& p) {
    constexpr int kSize = kPer16Bytes<T>;
    extern __shared__ float shared[];
    const GroupBlock b = group_block(p);
    merge_slabs(p, b, shared);
    for (int i = static_cast<int>(threadIdx.x); i < p.rows * p.columns; i += blockDim.x) {
        const GroupColumn<kSize> c(p, b, i);
        if (c.valid <= 0) continue;
        float scale[kSize];
        float beta[kSize];
        const int channel = b.first_channel + c.channel;
        load_elements(static_cast<const T*>(p.gamma) + channel, c.valid, c.whole, scale);
        load_elements(static_cast<const T*>(p.beta) + channel, c.valid, c.whole, beta);
        GroupStatistics<kSize> s;
        s.load(shared, c.channel, p.group_size);
#pragma unroll
        for (int j = 0; j < kSize; ++j) scale[j] *= s.rstd[j];
        const int64_t offset = c.offset(p, b);
#pragma unroll 2
        for (int64_t pixel = b.begin + c.row; pixel < b.end; pixel += p.rows) {
            const int64_t at = offset + pixel * p.channels;
            float x[kSize];
            load_elements(static_cast<const T*>(p.x) + at, c.valid, c.whole, x);
#pragma unroll
            for (int j = 0; j < kSize; ++j) {
                x[j] = fmaf(x[j] - s.mean[j], scale[j], beta[j]);
                if (p.silu != 0) x[j] *= sigmoid<kIsExact<T>>(x[j]);
            }
            store_elements(static_cast<T*>(p.dst) + at, c.valid, c.whole, x);
        }
    }
}

#define LORA_GROUP_NORM(suffix, type)                               \
    extern "C" __global__ void __launch_bounds__(kGroupNormThreads) \
        group_norm_stats_##suffix(const GroupNormArgs p) {          \
        group_norm_stats<type>(p);                                  \
    }                                                               \
    extern "C" __global__ void __launch_bounds__(kGroupNormThreads) \
        group_norm_##suffix(const GroupNormArgs p) {                \
        group_norm<type>(p);                                        \
    }
LORA_FOR_ELEMENTS(LORA_GROUP_NORM)

}  // namespace lora::cuda
