// Attention forward in plain fp32 arithmetic; attention_simt.cuh says how.
//   o = softmax(scale q k^T) v, lse = log sum exp(scale q k^T)
// Launch   grid (query blocks, N * heads), 256 threads. Cases: attention/*.
#include "backend/cuda/kernels/attention_simt.cuh"

namespace lora::cuda {

template <typename T, int kLimit>
__device__ __forceinline__ void simt_forward(const AttentionArgs& p) {
    constexpr int kMicro = attention_simt_micro(kLimit);
    constexpr int kSize = kSimtSide * kMicro;
    __shared__ SimtSpace<kMicro> space;
    const int x = threadIdx.x % kSimtSide;
    const int y = threadIdx.x / kSimtSide;
    const int first_query = blockIdx.x * kSize;
    const int end = p.causal != 0 ? min(p.num_keys, first_query + kSize) : p.num_keys;
    const SimtMatrix<T> q(p.q, p, p.num_queries, first_query);
    SimtSums<kMicro, kLimit> o;
    o.clear();
    float highest[kMicro];
    float sum[kMicro];
#pragma unroll
    for (int i = 0; i < kMicro; ++i) {
        highest[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int key = 0; key < end; key += kSize) {
        float s[kMicro][kMicro];
        simt_scores<kMicro>(s, q, SimtMatrix<T>(p.k, p, p.num_keys, key), space);
#pragma unroll
        for (int i = 0; i < kMicro; ++i) {
            const int query = first_query + y + kSimtSide * i;
            float now = highest[i];
#pragma unroll
            for (int j = 0; j < kMicro; ++j) {
                const bool seen = can_see(p, query, key + x + kSimtSide * j);
                s[i][j] = seen ? s[i][j] * p.scale : -INFINITY;
                now = fmaxf(now, s[i][j]);
            }
            now = side_max(now);
            // Rows beyond the last query see nothing.
            const float factor = now == -INFINITY ? 1 : expf(highest[i] - now);
            highest[i] = now;
            sum[i] *= factor;
#pragma unroll
            for (int j = 0; j < kMicro; ++j) {
                s[i][j] = now == -INFINITY ? 0 : expf(s[i][j] - now);
                sum[i] += s[i][j];
            }
#pragma unroll
            for (int n = 0; n < kLimit / kSimtSide; ++n) o.at[i][n] *= factor;
        }
        o.add_product(s, SimtMatrix<T>(p.v, p, p.num_keys, key), space);
    }
    float factor[kMicro];
#pragma unroll
    for (int i = 0; i < kMicro; ++i) {
        const float total = side_sum(sum[i]);
        factor[i] = 1 / total;
        const int query = first_query + y + kSimtSide * i;
        if (x == 0 && query < p.num_queries) {
            p.lse[static_cast<int64_t>(blockIdx.y) * p.num_queries + query] =
                highest[i] + logf(total);
        }
    }
    o.template store<T>(p.o, p, p.num_queries, first_query, factor);
}

#define LORA_SIMT_KERNEL(limit, suffix, type)                              \
    extern "C" __global__ void __launch_bounds__(kSimtThreads)             \
        attention_simt_forward_##limit##_##suffix(const AttentionArgs p) { \
        simt_forward<type, limit>(p);                                      \
    }
LORA_FOR_SIMT(LORA_SIMT_KERNEL)

}  // namespace lora::cuda
