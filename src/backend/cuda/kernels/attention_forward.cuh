// Attention forward on tensor cores: o = softmax(scale q k^T) v, lse = log sum exp(scale q k^T).
// Layout   attention_args.h; scores exist for one tile at a time, probabilities are rounded to T.
// Types    T in, fp32 accumulated, T out; lse fp32. The softmax is computed in base 2.
// Launch   grid (query blocks, N * heads), attention_forward_tile(D).threads() threads.
// Moves    q and o once; k and v once per block of queries. Cases: attention/*.
#pragma once

#include "backend/cuda/kernels/attention_tile.cuh"

namespace lora::cuda {

// How far, in powers of two, scores may exceed what is subtracted from them before the sums are
// scaled down to a new reference. The largest probability then is 2^8, harmless in any type.
inline constexpr float kMaxExcess = 8;

// Softmax of the rows of a warp, column tile by column tile.
template <int kTiles>
struct RunningSoftmax {
    float reference[kTiles][2];  // subtracted from log2(e) * scaled scores
    float sum[kTiles][2];        // of this lane's columns

    __device__ __forceinline__ void start() {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            reference[tile][0] = reference[tile][1] = -INFINITY;
            sum[tile][0] = sum[tile][1] = 0;
        }
    }

    // Turns scores into probabilities relative to `reference`, which rises if it must; o then
    // falls.
    template <int D, int kColumns>
    __device__ __forceinline__ void add(Scores<kTiles, kColumns>& s,
                                        Scores<kTiles, D>& o,
                                        float scale) {
        // Highest scores of the rows' own lane are enough to tell whether any row exceeds.
        bool exceeds = false;
        float highest[kTiles][2];
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float high = -INFINITY;
#pragma unroll
                for (int n = 0; n < kColumns / 8; ++n) {
                    high = fmaxf(high, fmaxf(s[tile][n][2 * half], s[tile][n][2 * half + 1]));
                }
                highest[tile][half] = high * scale;
                exceeds |= highest[tile][half] > reference[tile][half] + kMaxExcess;
            }
        }
        if (__any_sync(~0U, exceeds)) rise<D>(highest, o);
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                // A row that has seen masked columns only: 0 instead of -inf - -inf.
                const float r = reference[tile][half] == -INFINITY ? 0 : reference[tile][half];
#pragma unroll
                for (int n = 0; n < kColumns / 8; ++n) {
                    float(&x)[4] = s[tile][n];
                    x[2 * half] = exp2_fast(fmaf(x[2 * half], scale, -r));
                    x[2 * half + 1] = exp2_fast(fmaf(x[2 * half + 1], scale, -r));
                    sum[tile][half] += x[2 * half] + x[2 * half + 1];
                }
            }
        }
    }

    template <int D>
    __device__ __forceinline__ void rise(const float (&highest)[kTiles][2], Scores<kTiles, D>& o) {
#pragma unroll
        for (int tile = 0; tile < kTiles; ++tile) {
            float factor[2];
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const float old = reference[tile][half];
                const float now = fmaxf(old, quad_max(highest[tile][half]));
                factor[half] = old == -INFINITY ? 0 : exp2_fast(old - now);
                reference[tile][half] = now;
                sum[tile][half] *= factor[half];
            }
#pragma unroll
            for (int n = 0; n < D / 8; ++n) {
                o[tile][n][0] *= factor[0];
                o[tile][n][1] *= factor[0];
                o[tile][n][2] *= factor[1];
                o[tile][n][3] *= factor[1];
            }
        }
    }
};

// Joins the slices of a row: the first one's softmax and o become those of all columns.
template <int D, AttentionTile kTile>
__device__ __forceinline__ void join_forward(RunningSoftmax<kTile.row_tiles>& softmax,
                                             Scores<kTile.row_tiles, D>& o,
                                             unsigned char* shared) {
    constexpr int kTiles = kTile.row_tiles;
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int group = warp / kTile.slices;
    const int slice = warp % kTile.slices;
    auto* space = reinterpret_cast<float4*>(shared);
    // [slices - 1, rows] of {reference, sum}
    auto* rows = reinterpret_cast<float2*>(shared + (kTile.slices - 1) * kTile.rows() * D * 4);
    const int first_row = group * kTile.rows_per_warp() + lane / 4;
    __syncthreads();  // the columns there are no longer needed
    if (slice > 0) {
        put_joint<D, kTiles>(joint_of<D, kTiles>(space, slice, kTile.row_warps, group), o);
        for (int i = 0; i < 2 * kTiles; ++i) {
            if (lane % 4 != 0) continue;
            rows[(slice - 1) * kTile.rows() + first_row + 8 * i] =
                make_float2(softmax.reference[i / 2][i % 2], softmax.sum[i / 2][i % 2]);
        }
    }
    __syncthreads();
    if (slice > 0) return;
    for (int other = 1; other < kTile.slices; ++other) {
        float own_factor[kTiles][2];
        float other_factor[kTiles][2];
#pragma unroll
        for (int i = 0; i < 2 * kTiles; ++i) {
            const float2 x = rows[(other - 1) * kTile.rows() + first_row + 8 * i];
            float& reference = softmax.reference[i / 2][i % 2];
            float& sum = softmax.sum[i / 2][i % 2];
            const float now = fmaxf(reference, x.x);
            own_factor[i / 2][i % 2] = reference == -INFINITY ? 0 : exp2_fast(reference - now);
            other_factor[i / 2][i % 2] = x.x == -INFINITY ? 0 : exp2_fast(x.x - now);
            sum = own_factor[i / 2][i % 2] * sum + other_factor[i / 2][i % 2] * x.y;
            reference = now;
        }
        add_joint<D, kTiles>(
            o, joint_of<D, kTiles>(space, other, kTile.row_warps, group), own_factor, other_factor);
    }
}

template <typename T, int D, AttentionTile kTile>
__device__ __forceinline__ void attention_forward(const AttentionArgs& p) {
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
    const T* q_head = head_of(static_cast<const T*>(p.q), p, p.num_queries);
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
        const int query = first_query + 16 * tile;
        load_rows<T, D>(q.tiles[tile],
                        q_head + static_cast<int64_t>(query) * stride,
                        p.num_queries - query,
                        stride);
    }
    const float scale = p.scale * kLog2E;
    RunningSoftmax<kTiles> softmax;
    softmax.start();
    Scores<kTiles, D> o;
    clear<kTiles, D>(o);
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
            clear<kTiles, kColumns>(s);
            multiply_transposed<T, D, kTiles, kColumns>(s, q, SharedMatrix<D>(at));
            const int next = key + column + kColumns;
            if (next > p.num_keys || (causal && next - 1 > first_query)) {
                hide_scores<kTiles, kColumns>(s, first_query, key + column, p.num_keys, causal);
            }
            softmax.template add<D, kColumns>(s, o, scale);
            multiply<T, D, kTiles, kColumns>(o, s, SharedMatrix<D>(at + kMatrixBytes));
        }
    }

#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) {
        softmax.sum[i / 2][i % 2] = quad_sum(softmax.sum[i / 2][i % 2]);
    }
    if constexpr (kTile.slices > 1) {
        join_forward<D, kTile>(softmax, o, shared);
        if (slice > 0) return;
    }
    float* lse = p.lse + static_cast<int64_t>(blockIdx.y) * p.num_queries;
    float factor[kTiles][2];
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i) {
        const float sum = softmax.sum[i / 2][i % 2];
        factor[i / 2][i % 2] = 1 / sum;
        const int query = first_query + lane / 4 + 8 * i;
        if (lane % 4 == 0 && query < p.num_queries) {
            lse[query] = (softmax.reference[i / 2][i % 2] + log2f(sum)) * kLn2;
        }
    }
    T* o_head = head_of(static_cast<T*>(p.o), p, p.num_queries);
    store_rows<T, D, kTiles>(o_head + static_cast<int64_t>(first_query) * stride,
                             o,
                             factor,
                             p.num_queries - first_query,
                             stride);
}

}  // namespace lora::cuda
