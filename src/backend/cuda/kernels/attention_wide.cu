// Attention forward on tensor cores for any head size that is a multiple of 8, up to 512: the VAE's
// single head, and sizes without kernels of their own. The four warps of a block share 16 queries:
// each scores a quarter of the step's keys, then sums a quarter of the output's columns.
// Layout   attention_args.h; depth is padded with zeros to a multiple of 32 in shared memory.
// Types    T in, fp32 accumulated, T out; probabilities rounded to T; lse fp32.
// Launch   grid (query blocks, N * heads), 128 threads. Moves q, o once, k, v once per block.
// Cases: attention/*.
#include "backend/cuda/kernels/attention_tile.cuh"

namespace lora::cuda {

constexpr int kWideThreads = 32 * kWideWarps;

// Starts copying rows [kRows, head_size]; padding and rows from num_rows on become zero.
template <typename T, int kRows>
__device__ __forceinline__ void copy_wide(uint32_t dst,
                                          const T* src,
                                          const AttentionArgs& p,
                                          int num_rows) {
    const int wide_stride = attention_wide_stride(p.head_size);
    const int units = (wide_stride - 8) / 8;
    for (int unit = threadIdx.x; unit < kRows * units; unit += kWideThreads) {
        const int row = unit / units;
        const int column = unit % units * 8;
        const bool valid = row < num_rows && column < p.head_size;
        const T* from =
            valid ? src + static_cast<int64_t>(row) * p.heads * p.head_size + column : src;
        copy_16(dst + 2 * (row * wide_stride + column), from, valid);
    }
    copies_commit();
}

// Scores of 16 queries with 8 keys. Two sums, so that products need not wait for each other.
template <typename T>
__device__ __forceinline__ void wide_scores(float (&s)[4],
                                            uint32_t q,
                                            uint32_t k,
                                            int wide_stride) {
    const int lane = threadIdx.x % 32;
    const uint32_t left = q + 2 * (lane % 16 * wide_stride + lane / 16 * 8);
    const uint32_t right = k + 2 * (lane % 8 * wide_stride + lane / 8 * 8);
    float other[4] = {};
    for (int depth = 0; depth < wide_stride - 8; depth += 32) {
        uint32_t a[4];
        uint32_t b[4];
        load_4_matrices(b, right + 2 * depth);
        load_4_matrices(a, left + 2 * depth);
        Mma<T>::depth_16(s, a, b[0], b[1]);
        load_4_matrices(a, left + 2 * depth + 32);
        Mma<T>::depth_16(other, a, b[2], b[3]);
    }
    for (int e = 0; e < 4; ++e) s[e] += other[e];
}

template <typename T>
__device__ __forceinline__ void attention_wide(const AttentionArgs& p) {
    constexpr int kMaxTiles = kWideMaxHeadSize / 8 / kWideWarps;  // of 8 columns of o, per warp
    unsigned char* shared = dynamic_shared();
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int row = lane / 4;
    const int wide_stride = attention_wide_stride(p.head_size);
    const bool causal = p.causal != 0;
    const int first_query = blockIdx.x * kWideRows;
    const int stride = p.heads * p.head_size;
    const int end = causal ? min(p.num_keys, first_query + kWideRows) : p.num_keys;
    const T* k_head = head_of(static_cast<const T*>(p.k), p, p.num_keys);
    const T* v_head = head_of(static_cast<const T*>(p.v), p, p.num_keys);

    // q [16, D], k [32, D], v [32, D], p [16, 32], highest [warps, 16], sums [warps, 16]
    const uint32_t q = shared_address(shared);
    const uint32_t k = q + 2 * wide_stride * kWideRows;
    const uint32_t v = k + 2 * wide_stride * kWideColumns;
    const uint32_t probabilities = v + 2 * wide_stride * kWideColumns;
    unsigned char* after = shared + 2 * wide_stride * (kWideRows + 2 * kWideColumns);
    auto* p_pairs = reinterpret_cast<uint32_t*>(after);
    auto* highest = reinterpret_cast<float*>(after + 2 * kWideRows * kWideScoreStride);
    float* sums = highest + kWideWarps * kWideRows;

    copy_wide<T, kWideRows>(q,
                            head_of(static_cast<const T*>(p.q), p, p.num_queries) +
                                static_cast<int64_t>(first_query) * stride,
                            p,
                            p.num_queries - first_query);
    copy_wide<T, kWideColumns>(k, k_head, p, p.num_keys);
    const float scale = p.scale * kLog2E;
    float reference[2] = {-INFINITY, -INFINITY};
    float sum[2] = {};
    float o[kMaxTiles][4] = {};
    for (int key = 0; key < end; key += kWideColumns) {
        copies_wait();
        __syncthreads();  // k has arrived; nobody reads the v and p of the step before
        const int64_t offset = static_cast<int64_t>(key) * stride;
        copy_wide<T, kWideColumns>(v, v_head + offset, p, p.num_keys - key);
        float s[4] = {};
        wide_scores<T>(s, q, k + 2 * 8 * warp * wide_stride, wide_stride);
        for (int e = 0; e < 4; ++e) {
            const int i = first_query + row + e / 2 * 8;
            const int j = key + 8 * warp + lane % 4 * 2 + e % 2;
            s[e] = j >= p.num_keys || (causal && j > i) ? -INFINITY : s[e] * scale;
        }
        for (int half = 0; half < 2; ++half) {
            const float high = quad_max(fmaxf(s[2 * half], s[2 * half + 1]));
            if (lane % 4 == 0) highest[warp * kWideRows + row + 8 * half] = high;
        }
        __syncthreads();  // the highest scores are known; nobody reads k
        if (key + kWideColumns < end) {
            copy_wide<T, kWideColumns>(
                k,
                k_head + offset + static_cast<int64_t>(kWideColumns) * stride,
                p,
                p.num_keys - key - kWideColumns);
        } else {
            copies_commit();  // so that v always is the last group but one
        }
        float factor[2];
        for (int half = 0; half < 2; ++half) {
            float now = reference[half];
            for (int w = 0; w < kWideWarps; ++w) {
                now = fmaxf(now, highest[w * kWideRows + row + 8 * half]);
            }
            factor[half] = reference[half] == -INFINITY ? 0 : exp2_fast(reference[half] - now);
            reference[half] = now;
            const float low = exp2_fast(s[2 * half] - now);
            const float high = exp2_fast(s[2 * half + 1] - now);
            sum[half] = sum[half] * factor[half] + low + high;
            p_pairs[((row + 8 * half) * kWideScoreStride + 8 * warp + lane % 4 * 2) / 2] =
                Mma<T>::pair(low, high);
        }
        copies_wait<1>();
        __syncthreads();  // v and p are there
        uint32_t left[kWideColumns / 16][4];
        for (int i = 0; i < kWideColumns / 16; ++i) {
            load_4_matrices(
                left[i],
                probabilities + 2 * (lane % 16 * kWideScoreStride + lane / 16 * 8 + 16 * i));
        }
#pragma unroll
        for (int n = 0; n < kMaxTiles; ++n) {
            const int column = 8 * (n * kWideWarps + warp);
            if (column >= p.head_size) break;
            for (int e = 0; e < 4; ++e) o[n][e] *= factor[e / 2];
            uint32_t right[4];  // 32 keys, 8 columns
            load_4_matrices<true>(right, v + 2 * (lane * wide_stride + column));
            Mma<T>::depth_16(o[n], left[0], right[0], right[1]);
            Mma<T>::depth_16(o[n], left[1], right[2], right[3]);
        }
    }

    for (int half = 0; half < 2; ++half) {
        const float own = quad_sum(sum[half]);
        if (lane % 4 == 0) sums[warp * kWideRows + row + 8 * half] = own;
    }
    __syncthreads();
    T* o_head = head_of(static_cast<T*>(p.o), p, p.num_queries);
    for (int half = 0; half < 2; ++half) {
        const int query = first_query + row + 8 * half;
        if (query >= p.num_queries) continue;
        float total = 0;
        for (int w = 0; w < kWideWarps; ++w) total += sums[w * kWideRows + row + 8 * half];
        if (warp == 0 && lane % 4 == 0) {
            p.lse[static_cast<int64_t>(blockIdx.y) * p.num_queries + query] =
                (reference[half] + log2f(total)) * kLn2;
        }
        T* to = o_head + static_cast<int64_t>(query) * stride + lane % 4 * 2;
#pragma unroll
        for (int n = 0; n < kMaxTiles; ++n) {
            const int column = 8 * (n * kWideWarps + warp);
            if (column >= p.head_size) break;
            *reinterpret_cast<uint32_t*>(to + column) =
                Mma<T>::pair(o[n][2 * half] / total, o[n][2 * half + 1] / total);
        }
    }
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_WIDE_BODY(type) attention_wide<type>(p)
#else
#define LORA_WIDE_BODY(type) static_cast<void>(p)
#endif
#define LORA_WIDE_KERNEL(suffix, type)                            \
    extern "C" __global__ void __launch_bounds__(kWideThreads, 2) \
        attention_wide_##suffix(const AttentionArgs p) {          \
        LORA_WIDE_BODY(type);                                     \
    }
LORA_WIDE_KERNEL(bf16, __nv_bfloat16)
LORA_WIDE_KERNEL(f16, __half)

}  // namespace lora::cuda
