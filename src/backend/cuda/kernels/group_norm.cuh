// How blocks of group norm cover an image: chunks of whole groups, slabs of pixels, and threads on
// columns of channels. Shared by group_norm.cu and group_norm_backward.cu.
// Launch: x = chunks of groups, y = slabs, z = images; kGroupNormThreads threads. The first launch
// of a pair writes each slab's part of two sums a group; in the second each block adds the parts
// of its groups in their order, then writes its elements.
#pragma once

#include "backend/cuda/kernels/activation.cuh"
#include "backend/cuda/kernels/norm_args.h"
#include "backend/cuda/kernels/pieces.cuh"

namespace lora::cuda {

struct GroupBlock {
    int64_t image = 0;
    int64_t begin = 0;  // pixels
    int64_t end = 0;
    int first_group = 0;
    int groups = 0;
    int first_channel = 0;
    int channels = 0;
};

__device__ __forceinline__ GroupBlock group_block(const GroupNormArgs& p) {
    GroupBlock b;
    b.image = blockIdx.z;
    b.begin = blockIdx.y * p.slab_pixels;
    b.end = min(p.pixels, b.begin + p.slab_pixels);
    b.first_group = static_cast<int>(blockIdx.x) * p.chunk_groups;
    b.groups = min(p.chunk_groups, p.groups - b.first_group);
    b.first_channel = b.first_group * p.group_size;
    b.channels = b.groups * p.group_size;
    return b;
}

// A thread's place: every `rows`-th pixel of one column of channels.
template <int kSize>
struct GroupColumn {
    int row = 0;
    int column = 0;
    int channel = 0;  // within the chunk
    int valid = 0;    // channels of the column that exist
    bool whole = false;

    __device__ GroupColumn(const GroupNormArgs& p, const GroupBlock& b, int i)
        : row(i / p.columns), column(i % p.columns), channel(column * kSize) {
        valid = min(kSize, b.channels - channel);
        whole = p.aligned != 0 && valid == kSize;
    }
    // Elements before the column's first one of the block's image.
    __device__ int64_t offset(const GroupNormArgs& p, const GroupBlock& b) const {
        return b.image * p.pixels * p.channels + b.first_channel + channel;
    }
};

// mean and rstd of every channel of a column.
template <int kSize>
struct GroupStatistics {
    float mean[kSize];
    float rstd[kSize];

    // `stats`: pairs by group of the chunk.
    __device__ void load(const float* stats, int channel, int group_size) {
        int group = channel / group_size;
        int left = (group + 1) * group_size - channel;
#pragma unroll
        for (int j = 0; j < kSize; ++j) {
            if (left == 0) {
                ++group;
                left = group_size;
            }
            --left;
            mean[j] = stats[2 * group];
            rstd[j] = stats[2 * group + 1];
        }
    }
};

// Two values a channel and row of threads, in shared memory. Neighbouring channels lie `plane`
// floats apart so that neither side meets bank conflicts.
template <int kSize>
struct ChannelSums {
    const GroupNormArgs& p;
    float* first;
    float* second;

    __device__ ChannelSums(const GroupNormArgs& args, float* shared)
        : p(args), first(shared), second(shared + kSize * args.plane) {}
    __device__ int at(int row, int channel) const {
        return channel % kSize * p.plane + row * p.columns + channel / kSize;
    }
};

__device__ __forceinline__ float* group_partial(const GroupNormArgs& p,
                                                const GroupBlock& b,
                                                int group) {
    return p.partial + (b.image * p.groups + b.first_group + group) * p.slabs * 2;
}

}  // namespace lora::cuda
