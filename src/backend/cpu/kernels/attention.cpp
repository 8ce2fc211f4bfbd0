// Attention of one head for a block of queries, with a running maximum over blocks of keys.
//   S^T = alpha log2(e) K Q^T,  P = 2^(S - max),  O^T += V^T P,  o = O / sum(P)
// Everything is transposed: a vector's lanes are queries, so maxima and sums need no shuffling and
// a head size of 40 wastes no lane. Sums are fp32; where the machine multiplies bf16, values of
// that type stay so, and P is rounded to it for the last product. Memory: a block of scores [keys
// of the block][kTileCols], whatever the number of tokens.
#include "backend/cpu/kernels/attention_common.h"
#include "backend/cpu/kernels/registry.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

constexpr int64_t kQueryBlock = 128;
constexpr float kMasked = -1e30F;

int64_t key_block(int64_t head_size) {
    return kTileRows * (head_size >= 256 ? (kLanes == 16 ? 3 : 7) : (kLanes == 16 ? 9 : 21));
}

struct Scratch {
    float* queries;  // [panel][d][kTileCols]
    float* outputs;  // [panel][d][kTileCols]
    float* keys;     // row form
    float* values;   // [keys][d], bf16 only
    float* scores;   // [keys][kTileCols], then the weights in operands
    float* maxima;   // [panel][kTileCols]
    float* totals;   // [panel][kTileCols]
    int64_t bytes;
};

Scratch cut(const AttentionArgs& g, void* buffer) {
    ScratchCutter cutter(buffer);
    const int64_t panels = num_panels(least(kQueryBlock, g.num_queries));
    const int64_t keys = least(key_block(g.head_size), g.num_keys);
    Scratch s{};
    s.queries = cutter.floats(panels * g.head_size * kTileCols);
    s.outputs = cutter.floats(panels * g.head_size * kTileCols);
    s.keys = cutter.floats(num_tiles(keys) * row_tile_size(g.head_size));
    s.values = cutter.floats(g.type == Elem::kBF16 ? keys * g.head_size : 0);
    s.scores = cutter.floats(num_tiles(keys) * kTileRows * kTileCols);
    s.maxima = cutter.floats(panels * kTileCols);
    s.totals = cutter.floats(panels * kTileCols);
    s.bytes = cutter.used();
    return s;
}

int64_t scratch_bytes(const AttentionArgs& g) { return cut(g, nullptr).bytes; }

template <typename O>
void scores_of(
    const AttentionArgs& g, const O* keys, int64_t num_keys, const O* queries, float* scores) {
    const int64_t depth = g.head_size / kDepthOf<O>;
    for (int64_t tile = 0; tile < num_tiles(num_keys); ++tile) {
        const O* a = keys + tile * row_tile_size(depth);
        with_rows(least(kTileRows, num_keys - tile * kTileRows), [&]<int kRows>() {
            Sums<kRows> sums;
            clear(sums);
            tile_rows(sums, a, queries, depth);
            store_sums(sums, scores + tile * kTileRows * kTileCols);
        });
    }
}

// Keys beyond a lane's query get no weight. `offset`: first query minus first key.
void mask_scores(float* scores, int64_t num_keys, int64_t offset) {
    for (int64_t key = 0; key < num_keys; ++key) {
        for (int64_t lane = 0; lane < kTileCols; ++lane) {
            if (key > offset + lane) scores[key * kTileCols + lane] = kMasked;
        }
    }
}

// What one panel of queries has gathered so far.
struct Gathered {
    float* maxima;
    float* totals;
    float* outputs;  // [d][kTileCols]
};

// Scores to weights in their place; brings what is gathered up to date.
template <typename O>
LORA_INLINE void weigh(
    float* scores, int64_t num_keys, float scale, const Gathered& so_far, int64_t d) {
    constexpr int64_t kDepth = kDepthOf<O>;
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
        float* column = scores + half * kLanes;
        const Vec before = load(so_far.maxima + half * kLanes);
        Vec now = before;
        for (int64_t key = 0; key < num_keys; ++key) {
            now = max(now, load(column + key * kTileCols) * scale);
        }
        const Vec factor = exp2(before - now);
        Vec total = load(so_far.totals + half * kLanes) * factor;
        for (int64_t key = 0; key < num_keys; key += kDepth) {
            const Vec p = exp2(load(column + key * kTileCols) * scale - now);
            total += p;
            Vec second = splat(0.0F);
            if (kDepth == 2 && key + 1 < num_keys) {
                second = exp2(load(column + (key + 1) * kTileCols) * scale - now);
                total += second;
            }
            store_operands(as<O>(column) + key / kDepth * kTileCols, p, second);
        }
        store(so_far.maxima + half * kLanes, now);
        store(so_far.totals + half * kLanes, total);
        float* output = so_far.outputs + half * kLanes;
        for (int64_t j = 0; j < d; ++j) {
            store(output + j * kTileCols, load(output + j * kTileCols) * factor);
        }
    }
}

template <typename T>
void finish(const AttentionArgs& g, const Scratch& s, int64_t num_queries) {
    for (int64_t panel = 0; panel < num_panels(num_queries); ++panel) {
        const int64_t first = panel * kTileCols;
        const int64_t rows = least(kTileCols, num_queries - first);
        float factors[kTileCols];
        for (int64_t i = 0; i < rows; ++i) {
            const float total = s.totals[first + i];
            factors[i] = 1.0F / total;
            g.lse[g.begin + first + i] =
                s.maxima[first + i] * 0.69314718055994531F + __builtin_logf(total);
        }
        write_transposed(s.outputs + panel * g.head_size * kTileCols,
                         factors,
                         rows,
                         g.head_size,
                         static_cast<T*>(g.o) + (g.begin + first) * g.stride,
                         g.stride);
    }
}

template <typename T, typename O>
void run(const AttentionArgs& g) {
    const Scratch s = cut(g, g.scratch);
    const int64_t d = g.head_size;
    const int64_t num_queries = g.end - g.begin;
    const int64_t panels = num_panels(num_queries);
    const int64_t depth = d / kDepthOf<O>;
    O* queries = as<O>(s.queries);
    O* keys = as<O>(s.keys);
    const Rows<T> q{static_cast<const T*>(g.q) + g.begin * g.stride, g.stride, num_queries, d};
    pack_transposed(row_operands(q, queries), queries);
    memset(s.outputs, 0, static_cast<size_t>(panels * d * kTileCols) * sizeof(float));
    for (int64_t i = 0; i < panels * kTileCols; ++i) {
        s.maxima[i] = kMasked;
        s.totals[i] = 0.0F;
    }
    const int64_t last_key = g.causal ? least(g.num_keys, g.end) : g.num_keys;
    const int64_t block = key_block(d);
    for (int64_t key = 0; key < last_key; key += block) {
        const int64_t num_keys = least(block, last_key - key);
        const int64_t at = key * g.stride;
        const Rows<T> k{static_cast<const T*>(g.k) + at, g.stride, num_keys, d};
        const Rows<T> v{static_cast<const T*>(g.v) + at, g.stride, num_keys, d};
        pack_row_form(row_operands(k, keys), keys);
        const auto values = column_operands(v, as<O>(s.values));
        for (int64_t panel = 0; panel < panels; ++panel) {
            const int64_t first_query = g.begin + panel * kTileCols;
            if (g.causal && key > first_query + kTileCols - 1) continue;
            float* outputs = s.outputs + panel * d * kTileCols;
            scores_of(g, keys, num_keys, queries + panel * depth * kTileCols, s.scores);
            if (g.causal && key + num_keys - 1 > first_query) {
                mask_scores(s.scores, num_keys, first_query - key);
            }
            const Gathered so_far{
                s.maxima + panel * kTileCols, s.totals + panel * kTileCols, outputs};
            weigh<O>(s.scores, num_keys, g.alpha * kLog2E, so_far, d);
            add_transposed_product(values, num_keys, d, as<const O>(s.scores), outputs);
        }
    }
    finish<T>(g, s, num_queries);
}

void attention(const AttentionArgs& g) {
    with_types(g, [&]<typename T, typename O>() { run<T, O>(g); });
}

}  // namespace

void add_attention_kernels(KernelTable& table) {
    table.attention.query_block = kQueryBlock;
    table.attention.forward_scratch = scratch_bytes;
    table.attention.forward = attention;
}

}  // namespace lora::cpu::LORA_CPU_ISA
