// The forward pass of kernels/attention.cpp in matrix tiles, for bf16:
//   S^T = alpha log2(e) K Q^T,  P = 2^(S - max),  O^T += V^T P,  o = O / sum(P)
// A vector's lanes are queries. Sums, maxima and scores are fp32. P is rounded to bf16 for the last
// product, and o is divided by the sum of what was rounded, so that a query's weights sum to 1.
// Memory: a block of scores [keys of the block][32 queries], whatever the number of tokens.
#include "backend/cpu/kernels/amx_packing.h"
#include "backend/cpu/kernels/registry.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

constexpr int64_t kQueryBlock = 256;
constexpr int64_t kKeyBlock = 256;
constexpr float kMasked = -1e30F;

struct Scratch {
    Tile* queries;   // [query / 16][d / 32]
    Tile* keys;      // [key / 16][d / 32]
    Tile* values;    // [key / 32][d / 16]
    Tile* scores;    // [key / 16][2], then the weights [key / 32] in every other line
    Tile* outputs;   // [panel][d / 16][2]
    float* maxima;   // [query]
    float* totals;   // [query]
    float* rounded;  // [query], totals of the rounded weights
    int64_t bytes;
};

Scratch cut(const AttentionArgs& g, void* buffer) {
    ScratchCutter cutter(buffer);
    const int64_t panels = tiles_of_32(least(kQueryBlock, g.num_queries));
    const int64_t keys = tiles_of_32(least(kKeyBlock, g.num_keys));
    Scratch s{};
    s.queries = take_tiles(cutter, 2 * panels * tiles_of_32(g.head_size));
    s.keys = take_tiles(cutter, 2 * keys * tiles_of_32(g.head_size));
    s.values = take_tiles(cutter, keys * tiles_of_16(g.head_size));
    s.scores = take_tiles(cutter, 4 * keys);
    s.outputs = take_tiles(cutter, 2 * panels * tiles_of_16(g.head_size));
    s.maxima = cutter.floats(panels * kPanel);
    s.totals = cutter.floats(panels * kPanel);
    s.rounded = cutter.floats(panels * kPanel);
    s.bytes = cutter.used();
    return s;
}

int64_t scratch_bytes(const AttentionArgs& g) { return cut(g, nullptr).bytes; }

// Keys from `num_keys` on and, when causal, keys beyond a lane's query get no weight. `offset`:
// first query minus first key.
void mask_scores(Tile* scores, int64_t num_keys, bool causal, int64_t offset) {
    const float masked = kMasked;
    int64_t key = causal && offset + 1 < num_keys ? offset + 1 : num_keys;
    for (key = key < 0 ? 0 : key; key < 32 * tiles_of_32(num_keys); ++key) {
        for (int64_t lane = 0; lane < kPanel; ++lane) {
            if (key < num_keys && key <= offset + lane) continue;
            memcpy(&scores[key / 16 * 2 + lane / 16].line[key % 16][lane % 16], &masked, 4);
        }
    }
}

// What 16 queries have gathered so far.
struct Gathered {
    float* maxima;
    float* totals;
    float* rounded;
};

// Their scores to weights as B in their place, line by line behind what is read; returns the
// factor for what was gathered before.
LORA_INLINE Vec weigh(Tile* scores, int64_t depth, float scale, const Gathered& so_far) {
    Vec highest[2] = {load(so_far.maxima), splat(kMasked)};
    const Vec before = highest[0];
    for (int64_t k = 0; k < 2 * depth; ++k) {
        const Tile* tile = scores + 2 * k;
#pragma GCC unroll 16
        for (int i = 0; i < 16; i += 2) {
            highest[0] = max(highest[0], load_line(tile, i) * scale);
            highest[1] = max(highest[1], load_line(tile, i + 1) * scale);
        }
    }
    const Vec now = max(highest[0], highest[1]);
    const Vec factor = exp2(before - now);
    Vec total = load(so_far.totals) * factor;
    Vec rounded = load(so_far.rounded) * factor;
    for (int64_t k = 0; k < depth; ++k) {
        Tile* weights = scores + 4 * k;
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const Tile* from = weights + 2 * half;
            for (int i = 0; i < 8; ++i) {
                const Vec first = exp2(load_line(from, 2 * i) * scale - now);
                const Vec second = exp2(load_line(from, 2 * i + 1) * scale - now);
                const VecU pairs = pairs_of(first, second);
                total += first + second;
                rounded += from_bits(pairs << 16) + from_bits(pairs & 0xFFFF0000U);
                memcpy(weights->line[8 * half + i], &pairs, sizeof(pairs));
            }
        }
    }
    store(so_far.maxima, now);
    store(so_far.totals, total);
    store(so_far.rounded, rounded);
    return factor;
}

LORA_INLINE void scale_outputs(Tile* outputs, int64_t tiles, Vec factor) {
    for (int64_t j = 0; j < tiles; ++j) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            store_line(outputs + 2 * j, i, load_line(outputs + 2 * j, i) * factor);
        }
    }
}

void finish(const AttentionArgs& g, const Scratch& s, int64_t num_queries) {
    const int64_t d_tiles = tiles_of_16(g.head_size);
    for (int64_t query = 0; query < num_queries; query += 16) {
        const int64_t rows = least(16, num_queries - query);
        const Vec factor = splat(1.0F) / load(s.rounded + query);
        for (int64_t i = 0; i < rows; ++i) {
            g.lse[g.begin + query + i] =
                s.maxima[query + i] * 0.69314718055994531F + __builtin_logf(s.totals[query + i]);
        }
        const Tile* outputs = s.outputs + query_tile(query, d_tiles);
        Bf16* o = static_cast<Bf16*>(g.o) + (g.begin + query) * g.stride;
        for (int64_t j = 0; j < d_tiles; ++j) {
            const int64_t cols = g.head_size - 16 * j;
            write_tile_transposed(outputs + 2 * j, factor, rows, cols, o + 16 * j, g.stride);
        }
    }
}

void attention(const AttentionArgs& g) {
    const TileRegisters registers;
    const Scratch s = cut(g, g.scratch);
    const int64_t num_queries = g.end - g.begin;
    const int64_t panels = tiles_of_32(num_queries);
    const int64_t d_depth = tiles_of_32(g.head_size);
    const int64_t d_tiles = tiles_of_16(g.head_size);
    pack_b_transposed(rows_of(g, g.q, g.begin, num_queries), s.queries);
    memset(s.outputs, 0, static_cast<size_t>(2 * panels * d_tiles) * sizeof(Tile));
    for (int64_t i = 0; i < panels * kPanel; ++i) {
        s.maxima[i] = kMasked;
        s.totals[i] = 0.0F;
        s.rounded[i] = 0.0F;
    }
    const int64_t last_key = g.causal ? least(g.num_keys, g.end) : g.num_keys;
    for (int64_t key = 0; key < last_key; key += kKeyBlock) {
        const int64_t num_keys = least(kKeyBlock, last_key - key);
        const int64_t depth = tiles_of_32(num_keys);
        pack_a(rows_of(g, g.k, key, num_keys), s.keys);
        pack_a_transposed(rows_of(g, g.v, key, num_keys), s.values);
        for (int64_t panel = 0; panel < panels; ++panel) {
            const int64_t first_query = g.begin + panel * kPanel;
            if (g.causal && key > first_query + kPanel - 1) continue;
            Tile* outputs = s.outputs + query_tile(panel * kPanel, d_tiles);
            multiply_tiles({s.keys, d_depth, 1},
                           {s.queries + panel * 2 * d_depth, 1, d_depth},
                           {s.scores, 2, 1},
                           {2 * depth, 2, d_depth},
                           false);
            const bool crosses = g.causal && key + num_keys - 1 > first_query;
            if (crosses || num_keys % 32 != 0) {
                mask_scores(s.scores, num_keys, g.causal, first_query - key);
            }
            for (int half = 0; half < 2; ++half) {
                const int64_t at = panel * kPanel + 16 * half;
                const Gathered so_far{s.maxima + at, s.totals + at, s.rounded + at};
                const Vec factor = weigh(s.scores + half, depth, g.alpha * kLog2E, so_far);
                if (key > 0) scale_outputs(outputs + half, d_tiles, factor);
            }
            multiply_tiles({s.values, 1, d_tiles},
                           {s.scores, 4, 1},
                           {outputs, 2, 1},
                           {d_tiles, 2, depth},
                           true);
        }
    }
    finish(g, s, num_queries);
}

}  // namespace

void add_attention_kernels(AttentionKernels& kernels) {
    kernels.query_block = kQueryBlock;
    kernels.forward_scratch = scratch_bytes;
    kernels.forward = attention;
}

}  // namespace lora::cpu::LORA_CPU_ISA
