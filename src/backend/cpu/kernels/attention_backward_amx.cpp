// The gradients of kernels/attention_backward.cpp in matrix tiles, for bf16:
//   P = e^(alpha q k - lse),  dV += P^T dO,  dS = alpha P (dO V^T - delta),
//   dK += dS^T Q,  dQ^T += K^T dS^T        with delta = sum(d_o * o) per query
// A vector's lanes are queries, so that what is made from a tile of scores needs no turning: P^T
// and dS^T are rows of A for dV and dK, pairs of their rows B for dQ. Sums are fp32; P and dS are
// rounded to bf16.
#include "backend/cpu/kernels/amx_packing.h"
#include "backend/cpu/kernels/registry.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

constexpr int64_t kKeyBlock = 128;
constexpr int64_t kQueryBlock = 256;

struct Scratch {
    Tile* keys;       // A: [key / 16][d / 32]
    Tile* values;     // A: [key / 16][d / 32]
    Tile* keys_t;     // A: [key / 32][d / 16]
    Tile* dk;         // C: [key / 16][d / 16]
    Tile* dv;         // C: [key / 16][d / 16]
    Tile* queries_t;  // B: [query / 16][d / 32]
    Tile* d_o_t;      // B: [query / 16][d / 32]
    Tile* queries;    // B: [query / 32][d / 16]
    Tile* d_o;        // B: [query / 32][d / 16]
    Tile* scores;     // C: [key / 16][2]
    Tile* d_p;        // C: [key / 16][2], dO V^T
    Tile* p;          // A: [panel][key / 16]
    Tile* ds;         // A: [panel][key / 16]
    Tile* ds_pairs;   // B: [key / 32][2]
    int64_t bytes;
};

Scratch cut(const AttentionArgs& g, void* buffer) {
    ScratchCutter cutter(buffer);
    const int64_t keys = tiles_of_32(least(kKeyBlock, g.num_keys));
    const int64_t queries = tiles_of_32(least(kQueryBlock, g.num_queries));
    const int64_t d_depth = tiles_of_32(g.head_size);
    const int64_t d_tiles = tiles_of_16(g.head_size);
    Scratch s{};
    s.keys = take_tiles(cutter, 2 * keys * d_depth);
    s.values = take_tiles(cutter, 2 * keys * d_depth);
    s.keys_t = take_tiles(cutter, keys * d_tiles);
    s.dk = take_tiles(cutter, 2 * keys * d_tiles);
    s.dv = take_tiles(cutter, 2 * keys * d_tiles);
    s.queries_t = take_tiles(cutter, 2 * queries * d_depth);
    s.d_o_t = take_tiles(cutter, 2 * queries * d_depth);
    s.queries = take_tiles(cutter, queries * d_tiles);
    s.d_o = take_tiles(cutter, queries * d_tiles);
    s.scores = take_tiles(cutter, 4 * keys);
    s.d_p = take_tiles(cutter, 4 * keys);
    s.p = take_tiles(cutter, 2 * keys * queries);
    s.ds = take_tiles(cutter, 2 * keys * queries);
    s.ds_pairs = take_tiles(cutter, 2 * keys);
    s.bytes = cutter.used();
    return s;
}

int64_t scratch_bytes(const AttentionArgs& g) { return cut(g, nullptr).bytes; }

// Tiles of dq_sums: [query / 32][d / 16][2] of dQ^T.
int64_t dq_floats(const AttentionArgs& g) {
    return tiles_of_32(g.num_queries) * tiles_of_16(g.head_size) * 2 * 256;
}

// The keys that a call of run_keys works on.
struct KeyRange {
    int64_t first;
    int64_t count;

    [[nodiscard]] int64_t depth() const { return tiles_of_32(count); }
};

// 16 queries of a panel: their statistics, and which half of it they are.
struct Lanes {
    Vec lse;  // times log2(e)
    Vec delta;
    VecI query;
    int half;
};

Lanes lanes_of(const AttentionArgs& g, int64_t first_query, int half) {
    const int64_t first = first_query + 16 * half;
    const int64_t count = least(16, g.num_queries - first);
    Lanes lanes{splat(0.0F), splat(0.0F), VecI{}, half};
    if (count > 0) {
        lanes.lse = load_part(g.lse + first, count) * kLog2E;
        lanes.delta = load_part(g.delta + first, count);
    }
    for (int i = 0; i < 16; ++i) lanes.query[i] = static_cast<int32_t>(first + i);
    return lanes;
}

// P and dS of a panel from its scores and d_p: 16 queries of all keys. kMasked: some keys do not
// exist, or are beyond some query.
template <bool kMasked>
LORA_INLINE void weights_and_gradients(const AttentionArgs& g,
                                       const Scratch& s,
                                       const KeyRange& keys,
                                       const Lanes& lanes,
                                       int64_t panel) {
    const Vec scale = splat(g.alpha * kLog2E);
    const Vec alpha = splat(g.alpha);
    const int64_t key_tiles = 2 * keys.depth();
    for (int64_t m = 0; m < key_tiles; ++m) {
        const Tile* scores = s.scores + 2 * m + lanes.half;
        const Tile* d_p = s.d_p + 2 * m + lanes.half;
        auto* p = reinterpret_cast<Bf16*>(s.p + panel * key_tiles + m) + 16 * lanes.half;
        auto* ds = reinterpret_cast<Bf16*>(s.ds + panel * key_tiles + m) + 16 * lanes.half;
        Tile* pairs = s.ds_pairs + m / 2 * 2 + lanes.half;
#pragma GCC unroll 2
        for (int i = 0; i < 16; i += 2) {
            Vec ds_values[2];
#pragma GCC unroll 2
            for (int j = 0; j < 2; ++j) {
                Vec weight = exp2(load_line(scores, i + j) * scale - lanes.lse);
                if constexpr (kMasked) {
                    const int64_t key = 16 * m + i + j;
                    const auto at = static_cast<int32_t>(keys.first + key);
                    const VecI unseen = g.causal ? lanes.query < at : VecI{};
                    const VecU hidden = key < keys.count ? reinterpret_cast<VecU>(unseen) : ~VecU{};
                    weight = from_bits(to_bits(weight) & ~hidden);
                }
                ds_values[j] = weight * (load_line(d_p, i + j) - lanes.delta) * alpha;
                store(p + 32 * (i + j), weight);
                store(ds + 32 * (i + j), ds_values[j]);
            }
            const VecU pair = pairs_of(ds_values[0], ds_values[1]);
            memcpy(pairs->line[m % 2 * 8 + i / 2], &pair, sizeof(pair));
        }
    }
}

// One panel of queries against all keys of the range: P, dS, and what dQ gains.
void run_panel(const AttentionArgs& g,
               const Scratch& s,
               const KeyRange& keys,
               int64_t first_query,
               int64_t panel) {
    const int64_t d_depth = tiles_of_32(g.head_size);
    const int64_t d_tiles = tiles_of_16(g.head_size);
    const TileCounts counts{2 * keys.depth(), 2, d_depth};
    const int64_t packed = panel * 2 * d_depth;
    const Tiles scores{s.scores, 2, 1};
    const Tiles d_p{s.d_p, 2, 1};
    multiply_tiles({s.keys, d_depth, 1}, {s.queries_t + packed, 1, d_depth}, scores, counts, false);
    multiply_tiles({s.values, d_depth, 1}, {s.d_o_t + packed, 1, d_depth}, d_p, counts, false);
    const bool crosses = g.causal && keys.first + keys.count - 1 > first_query;
    for (int half = 0; half < 2; ++half) {
        const Lanes lanes = lanes_of(g, first_query, half);
        if (crosses || keys.count % 32 != 0) {
            weights_and_gradients<true>(g, s, keys, lanes, panel);
        } else {
            weights_and_gradients<false>(g, s, keys, lanes, panel);
        }
    }
    Tile* dq = reinterpret_cast<Tile*>(g.dq_sums) + query_tile(first_query, d_tiles);
    multiply_tiles(
        {s.keys_t, 1, d_tiles}, {s.ds_pairs, 2, 1}, {dq, 2, 1}, {d_tiles, 2, keys.depth()}, true);
}

void write_rows(const AttentionArgs& g, const Tile* sums, const KeyRange& keys, void* dst) {
    for (int64_t key = 0; key < keys.count; ++key) {
        Bf16* to = static_cast<Bf16*>(dst) + (keys.first + key) * g.stride;
        const Tile* tile = sums + key / 16 * tiles_of_16(g.head_size);
        for (int64_t j = 0; j < g.head_size; j += 16, ++tile) {
            store_up_to(to + j, load_line(tile, key % 16), g.head_size - j);
        }
    }
}

void run_keys(const AttentionArgs& g, const Scratch& s, const KeyRange& keys) {
    const int64_t d_tiles = tiles_of_16(g.head_size);
    const int64_t key_tiles = 2 * keys.depth();
    pack_a(rows_of(g, g.k, keys.first, keys.count), s.keys);
    pack_a(rows_of(g, g.v, keys.first, keys.count), s.values);
    pack_a_transposed(rows_of(g, g.k, keys.first, keys.count), s.keys_t);
    const int64_t start = g.causal ? keys.first / kQueryBlock * kQueryBlock : 0;
    for (int64_t query = start; query < g.num_queries; query += kQueryBlock) {
        const int64_t num_queries = least(kQueryBlock, g.num_queries - query);
        const int64_t panels = tiles_of_32(num_queries);
        pack_b_transposed(rows_of(g, g.q, query, num_queries), s.queries_t);
        pack_b_transposed(rows_of(g, g.d_o, query, num_queries), s.d_o_t);
        pack_b(rows_of(g, g.q, query, num_queries), s.queries);
        pack_b(rows_of(g, g.d_o, query, num_queries), s.d_o);
        for (int64_t panel = 0; panel < panels; ++panel) {
            run_panel(g, s, keys, query + panel * kPanel, panel);
        }
        const TileCounts counts{key_tiles, d_tiles, panels};
        const bool add = query > start;
        multiply_tiles({s.p, 1, key_tiles}, {s.d_o, d_tiles, 1}, {s.dv, d_tiles, 1}, counts, add);
        multiply_tiles(
            {s.ds, 1, key_tiles}, {s.queries, d_tiles, 1}, {s.dk, d_tiles, 1}, counts, add);
    }
    write_rows(g, s.dk, keys, g.dk);
    write_rows(g, s.dv, keys, g.dv);
}

void attention_backward(const AttentionArgs& g) {
    const TileRegisters registers;
    const Scratch s = cut(g, g.scratch);
    for (int64_t key = g.begin; key < g.end; key += kKeyBlock) {
        run_keys(g, s, {key, least(kKeyBlock, g.end - key)});
    }
}

// Blocks of 16 queries, from a multiple of 16 on.
void write_dq(const AttentionArgs& g, const PartialDq& partial) {
    const int64_t d_tiles = tiles_of_16(g.head_size);
    for (int64_t query = g.begin; query < g.end; query += 16) {
        const int64_t at = query_tile(query, d_tiles);
        Bf16* to = static_cast<Bf16*>(g.dq) + query * g.stride;
        for (int64_t j = 0; j < d_tiles; ++j) {
            Tile sum;
            const float* from = partial.first + (at + 2 * j) * 256;
            for (int64_t i = 0; i < 16; ++i) {
                Vec line = load(from + 16 * i);
                for (int64_t n = 1; n < partial.count; ++n) {
                    line += load(from + n * partial.step + 16 * i);
                }
                store_line(&sum, i, line);
            }
            write_tile_transposed(&sum,
                                  splat(1.0F),
                                  least(16, g.end - query),
                                  g.head_size - 16 * j,
                                  to + 16 * j,
                                  g.stride);
        }
    }
}

}  // namespace

void add_attention_backward_kernels(AttentionKernels& kernels) {
    kernels.key_block = kKeyBlock;
    kernels.backward_scratch = scratch_bytes;
    kernels.dq_floats = dq_floats;
    kernels.backward = attention_backward;
    kernels.write_dq = write_dq;
}

}  // namespace lora::cpu::LORA_CPU_ISA
