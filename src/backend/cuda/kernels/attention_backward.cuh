// Attention backward on tensor cores, without atomics: the same bits from run to run. With
// p = exp(scale q k^T - lse) and delta = d_o . o, both of one query:
//   ds = p (d_o v^T - delta);  dq = scale ds k;  dk = scale ds^T q;  dv = p^T d_o
// Layout   attention_args.h; p and ds are computed anew by both kernels, and rounded to T.
// Types    T in, fp32 accumulated, T out (fp32 partial sums if dkv is split over queries).
// Launch   dq first, it leaves lse and delta for dkv: grid (query blocks, N * heads)
//          dkv: grid (key blocks, N * heads, splits)
// Moves    dq: q, d_o, o, dq once, k and v once per block of queries; dkv: k, v, dk, dv once,
//          q and d_o once per block of keys. Cases: attention/*, backward.
#pragma once

#include "backend/cuda/kernels/attention_tile.cuh"

namespace lora::cuda {

// Sums c over the slices of its rows, in order, into the first slice.
template <int D, AttentionTile kTile>
__device__ __forceinline__ void join_sums(Scores<kTile.row_tiles, D>& c, float4* space) {
    constexpr int kTiles = kTile.row_tiles;
    const int group = threadIdx.x / 32 / kTile.slices;
    const int slice = threadIdx.x / 32 % kTile.slices;
    __syncthreads();  // the columns there are no longer needed
    if (slice > 0) {
        put_joint<D, kTiles>(joint_of<D, kTiles>(space, slice, kTile.row_warps, group), c);
    }
    __syncthreads();
    if (slice > 0) return;
    float one[kTiles][2];
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) one[i / 2][i % 2] = 1;
    for (int other = 1; other < kTile.slices; ++other) {
        add_joint<D, kTiles>(
            c, joint_of<D, kTiles>(space, other, kTile.row_warps, group), one, one);
    }
}

// d_o . o of the two rows of this lane; `d_o` as loaded, o from memory.
template <typename T, int D>
__device__ __forceinline__ void row_products(
    float (&dst)[2], const RowFragment<D>& d_o, const T* o, int num_rows, int stride) {
    RowFragment<D> other;
    load_rows<T, D>(other, o, num_rows, stride);
    const auto product = [](uint32_t a, uint32_t b) {
        T x[2];
        T y[2];
        memcpy(x, &a, sizeof(a));
        memcpy(y, &b, sizeof(b));
        return to_float(x[0]) * to_float(y[0]) + to_float(x[1]) * to_float(y[1]);
    };
    dst[0] = dst[1] = 0;
#pragma unroll
    for (int i = 0; i < D / 16; ++i) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            dst[e % 2] += product(d_o.depth_16[i][e], other.depth_16[i][e]);
        }
    }
    if constexpr (D % 16 != 0) {
        dst[0] += product(d_o.depth_8[0], other.depth_8[0]);
        dst[1] += product(d_o.depth_8[1], other.depth_8[1]);
    }
    dst[0] = quad_sum(dst[0]);
    dst[1] = quad_sum(dst[1]);
}

template <typename T, int D, AttentionTile kTile>
__device__ __forceinline__ void attention_dq(const AttentionArgs& p) {
    constexpr int kTiles = kTile.row_tiles;
    constexpr int kColumns = kTile.step;
    constexpr int kMatrixBytes = attention_matrix_bytes(D, kTile.columns);
    unsigned char* shared = dynamic_shared();
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int slice = warp % kTile.slices;
    const int stride = p.heads * D;
    const bool causal = p.causal != 0;
    const int first_query = blockIdx.x * kTile.rows() + warp / kTile.slices * kTile.rows_per_warp();
    const T* k = head_of(static_cast<const T*>(p.k), p, p.num_keys);
    const T* v = head_of(static_cast<const T*>(p.v), p, p.num_keys);
    const int end =
        causal ? min(p.num_keys, static_cast<int>(blockIdx.x + 1) * kTile.rows()) : p.num_keys;

    const uint32_t base = shared_address(shared);
    const auto start_copy = [&](int key) {
        const uint32_t at = base + key / kTile.columns % kAttentionStages * 2 * kMatrixBytes;
        const int64_t offset = static_cast<int64_t>(key) * stride;
        copy_matrix<T, D, kTile.columns, kTile.threads()>(at, k + offset, p.num_keys - key, stride);
        copy_matrix<T, D, kTile.columns, kTile.threads()>(
            at + kMatrixBytes, v + offset, p.num_keys - key, stride);
        copies_commit();
    };
    start_copy(0);

    HeldRows<D, kTiles> q;
    HeldRows<D, kTiles> d_o;
    float lse[kTiles][2];
    float delta[kTiles][2];
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
        const int query = first_query + 16 * tile;
        const int left = p.num_queries - query;
        const int64_t offset = static_cast<int64_t>(query) * stride;
        load_rows<T, D>(q.tiles[tile],
                        head_of(static_cast<const T*>(p.q), p, p.num_queries) + offset,
                        left,
                        stride);
        load_rows<T, D>(d_o.tiles[tile],
                        head_of(static_cast<const T*>(p.d_o), p, p.num_queries) + offset,
                        left,
                        stride);
        row_products<T, D>(delta[tile],
                           d_o.tiles[tile],
                           head_of(static_cast<const T*>(p.o), p, p.num_queries) + offset,
                           left,
                           stride);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int row = lane / 4 + 8 * half;
            const int64_t at = static_cast<int64_t>(blockIdx.y) * p.num_queries + query + row;
            lse[tile][half] = row < left ? p.lse[at] * kLog2E : 0;
            if (row < left && lane % 4 == 0 && slice == 0) {
                p.rows[at] = {lse[tile][half], delta[tile][half]};
            }
        }
    }
    const float scale = p.scale * kLog2E;
    Scores<kTiles, D> dq;
    clear<kTiles, D>(dq);
    for (int key = 0; key < end; key += kTile.columns) {
        copies_wait();
        __syncthreads();  // this step has arrived, and nobody reads the one before
        if (key + kTile.columns < end) start_copy(key + kTile.columns);
        const int stage = key / kTile.columns % kAttentionStages * 2 * kMatrixBytes;
#pragma unroll 1
        for (int i = 0; i < kTile.slice_steps(); ++i) {
            const int column = slice * kTile.slice_columns() + i * kColumns;
            if (key + column >= end) break;
            const uint32_t at = base + stage + attention_matrix_bytes(D, column);
            Scores<kTiles, kColumns> s;
            Scores<kTiles, kColumns> ds;
            clear<kTiles, kColumns>(s);
            clear<kTiles, kColumns>(ds);
            multiply_transposed<T, D, kTiles, kColumns>(s, q, SharedMatrix<D>(at));
            multiply_transposed<T, D, kTiles, kColumns>(
                ds, d_o, SharedMatrix<D>(at + kMatrixBytes));
            const int next = key + column + kColumns;
            if (next > p.num_keys || (causal && next - 1 > first_query)) {
                hide_scores<kTiles, kColumns>(s, first_query, key + column, p.num_keys, causal);
            }
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
                for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
                    for (int e = 0; e < 4; ++e) {
                        const float probability =
                            exp2_fast(fmaf(s[tile][n][e], scale, -lse[tile][e / 2]));
                        ds[tile][n][e] = probability * (ds[tile][n][e] - delta[tile][e / 2]);
                    }
                }
            }
            multiply<T, D, kTiles, kColumns>(dq, ds, SharedMatrix<D>(at));
        }
    }

    if constexpr (kTile.slices > 1) {
        join_sums<D, kTile>(dq, reinterpret_cast<float4*>(shared));
        if (slice > 0) return;
    }
    float factor[kTiles][2];
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) factor[i / 2][i % 2] = p.scale;
    T* dst = head_of(static_cast<T*>(p.dq), p, p.num_queries);
    store_rows<T, D, kTiles>(dst + static_cast<int64_t>(first_query) * stride,
                             dq,
                             factor,
                             p.num_queries - first_query,
                             stride);
}

// Stores sums of keys as the result, or as this split's part of it.
template <typename T, int D, int kTiles>
__device__ __forceinline__ void store_keys(const AttentionArgs& p,
                                           void* dst,
                                           int which,
                                           const Scores<kTiles, D>& c,
                                           float scale,
                                           int first_key) {
    const int stride = p.heads * D;
    const int64_t offset = static_cast<int64_t>(first_key) * stride;
    const int left = p.num_keys - first_key;
    float factor[kTiles][2];
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) factor[i / 2][i % 2] = scale;
    if (p.splits == 1) {
        store_rows<T, D, kTiles>(
            head_of(static_cast<T*>(dst), p, p.num_keys) + offset, c, factor, left, stride);
        return;
    }
    const int64_t count = static_cast<int64_t>(p.num_samples) * p.num_keys * stride;
    float* part = p.partial + (blockIdx.z * 2 + which) * count;
    store_rows<float, D, kTiles>(head_of(part, p, p.num_keys) + offset, c, factor, left, stride);
}

// Scores [keys, queries] of queries before their key become -inf. `key` and `query` are those of
// element (0, 0).
template <int kTiles, int kColumns>
__device__ __forceinline__ void hide_early_queries(Scores<kTiles, kColumns>& s,
                                                   int key,
                                                   int query) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
        for (int n = 0; n < kColumns / 8; ++n) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int j = key + 16 * tile + lane / 4 + e / 2 * 8;
                const int i = query + 8 * n + lane % 4 * 2 + e % 2;
                if (j > i) s[tile][n][e] = -INFINITY;
            }
        }
    }
}

template <typename T, int D, AttentionTile kTile>
__device__ __forceinline__ void attention_dkv(const AttentionArgs& p) {
    constexpr int kTiles = kTile.row_tiles;
    constexpr int kColumns = kTile.step;
    constexpr int kMatrixBytes = attention_matrix_bytes(D, kTile.columns);
    constexpr int kRowsBytes = attention_matrix_bytes(D, kTile.rows());
    constexpr int kStageBytes =
        2 * kMatrixBytes + kTile.columns * static_cast<int>(sizeof(AttentionRow));
    constexpr int kHeld = kTile.holds_rows ? 0 : 2 * kRowsBytes;  // bytes of k and v
    unsigned char* shared = dynamic_shared();
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int slice = warp % kTile.slices;
    const int stride = p.heads * D;
    const bool causal = p.causal != 0;
    const int block_key = blockIdx.x * kTile.rows();
    const int own_row = warp / kTile.slices * kTile.rows_per_warp();
    const int first_key = block_key + own_row;
    const T* k = head_of(static_cast<const T*>(p.k), p, p.num_keys);
    const T* v = head_of(static_cast<const T*>(p.v), p, p.num_keys);
    const T* q = head_of(static_cast<const T*>(p.q), p, p.num_queries);
    const T* d_o = head_of(static_cast<const T*>(p.d_o), p, p.num_queries);
    const AttentionRow* rows = p.rows + static_cast<int64_t>(blockIdx.y) * p.num_queries;
    int begin = blockIdx.z * p.queries_per_split;
    const int end = min(p.num_queries, begin + p.queries_per_split);
    // Queries before the first key do not see it.
    if (causal) begin = max(begin, block_key / kTile.columns * kTile.columns);

    const uint32_t base = shared_address(shared);
    const auto start_copy = [&](int query) {
        const uint32_t at = base + kHeld + query / kTile.columns % kAttentionStages * kStageBytes;
        const int64_t offset = static_cast<int64_t>(query) * stride;
        const int left = p.num_queries - query;
        copy_matrix<T, D, kTile.columns, kTile.threads()>(at, q + offset, left, stride);
        copy_matrix<T, D, kTile.columns, kTile.threads()>(
            at + kMatrixBytes, d_o + offset, left, stride);
        const int i = threadIdx.x;
        static_assert(kTile.columns <= kTile.threads());
        if (i < kTile.columns) {
            copy_8(at + 2 * kMatrixBytes + i * static_cast<int>(sizeof(AttentionRow)),
                   rows + (i < left ? query + i : 0),
                   i < left);
        }
        copies_commit();
    };
    if constexpr (!kTile.holds_rows) {
        const int64_t offset = static_cast<int64_t>(block_key) * stride;
        const int left = p.num_keys - block_key;
        copy_matrix<T, D, kTile.rows(), kTile.threads()>(base, k + offset, left, stride);
        copy_matrix<T, D, kTile.rows(), kTile.threads()>(
            base + kRowsBytes, v + offset, left, stride);
    }
    if (begin < end) start_copy(begin);
    const auto load_keys = [&](const T* src, uint32_t at) {
        if constexpr (kTile.holds_rows) {
            HeldRows<D, kTiles> held;
#pragma unroll
            for (int tile = 0; tile < kTiles; ++tile) {
                const int key = first_key + 16 * tile;
                load_rows<T, D>(held.tiles[tile],
                                src + static_cast<int64_t>(key) * stride,
                                p.num_keys - key,
                                stride);
            }
            return held;
        } else {
            return SharedRows<D, kTiles>{SharedMatrix<D>(at + attention_matrix_bytes(D, own_row))};
        }
    };
    const auto k_rows = load_keys(k, base);
    const auto v_rows = load_keys(v, base + kRowsBytes);

    const float scale = p.scale * kLog2E;
    Scores<kTiles, D> dk;
    Scores<kTiles, D> dv;
    clear<kTiles, D>(dk);
    clear<kTiles, D>(dv);
    for (int query = begin; query < end; query += kTile.columns) {
        copies_wait();
        __syncthreads();  // this step has arrived, and nobody reads the one before
        if (query + kTile.columns < end) start_copy(query + kTile.columns);
        const int stage = kHeld + query / kTile.columns % kAttentionStages * kStageBytes;
#pragma unroll 1
        for (int step = 0; step < kTile.slice_steps(); ++step) {
            const int column = slice * kTile.slice_columns() + step * kColumns;
            if (query + column >= end) break;
            const uint32_t at = base + stage + attention_matrix_bytes(D, column);
            Scores<kTiles, kColumns> s;
            Scores<kTiles, kColumns> ds;
            clear<kTiles, kColumns>(s);
            clear<kTiles, kColumns>(ds);
            multiply_transposed<T, D, kTiles, kColumns>(s, k_rows, SharedMatrix<D>(at));
            multiply_transposed<T, D, kTiles, kColumns>(
                ds, v_rows, SharedMatrix<D>(at + kMatrixBytes));
            if (causal && first_key + kTile.rows_per_warp() - 1 > query + column) {
                hide_early_queries<kTiles, kColumns>(s, first_key, query + column);
            }
            // Two queries' lse and delta at once.
            const auto* row = reinterpret_cast<const float4*>(shared + stage + 2 * kMatrixBytes) +
                              column / 2 + lane % 4;
#pragma unroll
            for (int n = 0; n < kColumns / 8; ++n) {
                const float4 both = row[4 * n];
#pragma unroll
                for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
                    for (int e = 0; e < 4; ++e) {
                        const float lse = e % 2 == 0 ? both.x : both.z;
                        const float delta = e % 2 == 0 ? both.y : both.w;
                        s[tile][n][e] = exp2_fast(fmaf(s[tile][n][e], scale, -lse));
                        ds[tile][n][e] = s[tile][n][e] * (ds[tile][n][e] - delta);
                    }
                }
            }
            multiply<T, D, kTiles, kColumns>(dv, s, SharedMatrix<D>(at + kMatrixBytes));
            multiply<T, D, kTiles, kColumns>(dk, ds, SharedMatrix<D>(at));
        }
    }

    if constexpr (kTile.slices > 1) {
        copies_wait();  // k and v, if there was no query
        auto* space = reinterpret_cast<float4*>(shared + kHeld);
        join_sums<D, kTile>(dv, space);
        join_sums<D, kTile>(dk, space);
        if (slice > 0) return;
    }
    store_keys<T, D, kTiles>(p, p.dk, 0, dk, p.scale, first_key);
    store_keys<T, D, kTiles>(p, p.dv, 1, dv, 1, first_key);
}

}  // namespace lora::cuda
