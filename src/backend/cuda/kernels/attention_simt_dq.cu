// dq of attention in plain fp32 arithmetic; attention_simt.cuh says how. With
// p = exp(scale q k^T - lse) and delta = d_o . o, both of one query:
//   ds = p (d_o v^T - delta);  dq = scale ds k
// Launch   grid (query blocks, N * heads), 256 threads; leaves lse and delta for dkv.
// Cases: attention/*, backward.
#include "backend/cuda/kernels/attention_simt.cuh"

namespace lora::cuda {

template <typename T, int kLimit>
__device__ __forceinline__ void simt_dq(const AttentionArgs& p) {
    constexpr int kMicro = attention_simt_micro(kLimit);
    constexpr int kSize = kSimtSide * kMicro;
    __shared__ SimtSpace<kMicro> space;
    const int x = threadIdx.x % kSimtSide;
    const int y = threadIdx.x / kSimtSide;
    const int first_query = blockIdx.x * kSize;
    const int end = p.causal != 0 ? min(p.num_keys, first_query + kSize) : p.num_keys;
    const SimtMatrix<T> q(p.q, p, p.num_queries, first_query);
    const SimtMatrix<T> d_o(p.d_o, p, p.num_queries, first_query);
    const SimtMatrix<T> o(p.o, p, p.num_queries, first_query);
    float lse[kMicro];
    float delta[kMicro];
#pragma unroll
    for (int i = 0; i < kMicro; ++i) {
        const int row = y + kSimtSide * i;
        float product = 0;
        for (int c = x; c < p.head_size; c += kSimtSide) {
            product = fmaf(d_o.at(row, c), o.at(row, c), product);
        }
        delta[i] = side_sum(product);
        const int64_t at = static_cast<int64_t>(blockIdx.y) * p.num_queries + first_query + row;
        lse[i] = row < q.num_rows ? p.lse[at] : 0;
        if (x == 0 && row < q.num_rows) p.rows[at] = {lse[i], delta[i]};
    }
    SimtSums<kMicro, kLimit> dq;
    dq.clear();
    for (int key = 0; key < end; key += kSize) {
        const SimtMatrix<T> k(p.k, p, p.num_keys, key);
        float s[kMicro][kMicro];
        float ds[kMicro][kMicro];
        simt_scores<kMicro>(s, q, k, space);
        simt_scores<kMicro>(ds, d_o, SimtMatrix<T>(p.v, p, p.num_keys, key), space);
#pragma unroll
        for (int i = 0; i < kMicro; ++i) {
#pragma unroll
            for (int j = 0; j < kMicro; ++j) {
                const bool seen =
                    can_see(p, first_query + y + kSimtSide * i, key + x + kSimtSide * j);
                const float probability = seen ? expf(s[i][j] * p.scale - lse[i]) : 0;
                ds[i][j] = probability * (ds[i][j] - delta[i]);
            }
        }
        dq.add_product(ds, k, space);
    }
    float factor[kMicro];
#pragma unroll
    for (int i = 0; i < kMicro; ++i) factor[i] = p.scale;
    dq.template store<T>(p.dq, p, p.num_queries, first_query, factor);
}

#define LORA_SIMT_KERNEL(limit, suffix, type)                         \
    extern "C" __global__ void __launch_bounds__(kSimtThreads)        \
        attention_simt_dq_##limit##_##suffix(const AttentionArgs p) { \
        simt_dq<type, limit>(p);                                      \
    }
LORA_FOR_SIMT(LORA_SIMT_KERNEL)

}  // namespace lora::cuda
