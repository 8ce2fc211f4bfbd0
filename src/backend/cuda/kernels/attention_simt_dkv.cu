// dk and dv of attention in plain fp32 arithmetic; attention_simt.cuh says how. With
// p = exp(scale q k^T - lse) and delta = d_o . o, both of one query:
//   ds = p (d_o v^T - delta);  dk = scale ds^T q;  dv = p^T d_o
// Launch   grid (key blocks, N * heads), 256 threads; after dq, which leaves lse and delta.
// Cases: attention/*, backward.
#include "backend/cuda/kernels/attention_simt.cuh"

namespace lora::cuda {

template <typename T, int kLimit>
__device__ __forceinline__ void simt_dkv(const AttentionArgs& p) {
    constexpr int kMicro = attention_simt_micro(kLimit);
    constexpr int kSize = kSimtSide * kMicro;
    __shared__ SimtSpace<kMicro> space;
    const int x = threadIdx.x % kSimtSide;
    const int y = threadIdx.x / kSimtSide;
    const int first_key = blockIdx.x * kSize;
    const AttentionRow* rows = p.rows + static_cast<int64_t>(blockIdx.y) * p.num_queries;
    const SimtMatrix<T> k(p.k, p, p.num_keys, first_key);
    const SimtMatrix<T> v(p.v, p, p.num_keys, first_key);
    SimtSums<kMicro, kLimit> dk;
    SimtSums<kMicro, kLimit> dv;
    dk.clear();
    dv.clear();
    // Queries before the first key do not see it.
    for (int query = p.causal != 0 ? first_key : 0; query < p.num_queries; query += kSize) {
        const SimtMatrix<T> q(p.q, p, p.num_queries, query);
        const SimtMatrix<T> d_o(p.d_o, p, p.num_queries, query);
        float s[kMicro][kMicro];
        float ds[kMicro][kMicro];
        simt_scores<kMicro>(s, k, q, space);
        simt_scores<kMicro>(ds, v, d_o, space);
#pragma unroll
        for (int j = 0; j < kMicro; ++j) {
            const int column = query + x + kSimtSide * j;
            const AttentionRow row = column < p.num_queries ? rows[column] : AttentionRow{0, 0};
#pragma unroll
            for (int i = 0; i < kMicro; ++i) {
                const bool seen = can_see(p, column, first_key + y + kSimtSide * i);
                s[i][j] = seen ? expf(s[i][j] * p.scale - row.lse) : 0;
                ds[i][j] = s[i][j] * (ds[i][j] - row.delta);
            }
        }
        dv.add_product(s, d_o, space);
        dk.add_product(ds, q, space);
    }
    float factor[kMicro];
#pragma unroll
    for (int i = 0; i < kMicro; ++i) factor[i] = p.scale;
    dk.template store<T>(p.dk, p, p.num_keys, first_key, factor);
#pragma unroll
    for (int i = 0; i < kMicro; ++i) factor[i] = 1;
    dv.template store<T>(p.dv, p, p.num_keys, first_key, factor);
}

#define LORA_SIMT_KERNEL(limit, suffix, type)                          \
    extern "C" __global__ void __launch_bounds__(kSimtThreads)         \
        attention_simt_dkv_##limit##_##suffix(const AttentionArgs p) { \
        simt_dkv<type, limit>(p);                                      \
    }
LORA_FOR_SIMT(LORA_SIMT_KERNEL)

}  // namespace lora::cuda
