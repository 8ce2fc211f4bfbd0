// Gradients of attention for a range of keys of one head; scores are computed again from lse.
//   P = e^(alpha q k - lse),  dV^T += dO^T P,  dS = alpha P (dO V^T - delta),
//   dK^T += Q^T dS,  dQ += dS K        with delta = sum(d_o * o) per query
// A vector's lanes are keys, so dK and dV fit head sizes like 40 exactly. Sums are fp32; where the
// machine multiplies bf16, values of that type stay so, and P and dS are rounded to it.
#include "backend/cpu/kernels/attention_common.h"
#include "backend/cpu/kernels/registry.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

constexpr int64_t kKeyBlock = 128;
constexpr int64_t kPanels = kKeyBlock / kTileCols;
constexpr int64_t kQueryTiles = kLanes == 16 ? 5 : 10;
constexpr int64_t kQueryBlock = kQueryTiles * kTileRows;

struct Scratch {
    float* keys_t;     // [panel][d][kTileCols]
    float* values_t;   // [panel][d][kTileCols]
    float* keys;       // [panel of d][keys][kTileCols]
    float* dk_t;       // [panel][d][kTileCols]
    float* dv_t;       // [panel][d][kTileCols]
    float* queries;    // row form
    float* d_o;        // row form
    float* queries_f;  // [queries][d], bf16 only
    float* d_o_f;      // [queries][d], bf16 only
    float* p;          // [queries][kTileCols], in operands of queries
    float* ds;         // [panel][queries][kTileCols], in operands of queries
    float* ds_rows;    // the same in operands of keys, where these are pairs
    int64_t bytes;
};

Scratch cut(const AttentionArgs& g, void* buffer) {
    ScratchCutter cutter(buffer);
    const int64_t d = g.head_size;
    const int64_t transposed = kPanels * d * kTileCols;
    const int64_t rows = kQueryTiles * row_tile_size(d);
    const int64_t copies = g.type == Elem::kBF16 ? kQueryBlock * d : 0;
    Scratch s{};
    s.keys_t = cutter.floats(transposed);
    s.values_t = cutter.floats(transposed);
    s.keys = cutter.floats(num_panels(d) * kTileCols * kKeyBlock);
    s.dk_t = cutter.floats(transposed);
    s.dv_t = cutter.floats(transposed);
    s.queries = cutter.floats(rows);
    s.d_o = cutter.floats(rows);
    s.queries_f = cutter.floats(copies);
    s.d_o_f = cutter.floats(copies);
    s.p = cutter.floats(kQueryBlock * kTileCols);
    s.ds = cutter.floats(kPanels * kQueryBlock * kTileCols);
    s.ds_rows = cutter.floats(g.type == Elem::kBF16 ? kPanels * kQueryBlock * kTileCols / 2 : 0);
    s.bytes = cutter.used();
    return s;
}

int64_t scratch_bytes(const AttentionArgs& g) { return cut(g, nullptr).bytes; }

// What a block of queries against a panel of keys needs to know.
struct Block {
    int64_t first_query;
    int64_t num_queries;
    int64_t first_key;
    int64_t num_keys;  // of the panel
};

// Lanes that count: keys that exist and, when causal, are not beyond the query.
LORA_INLINE void lane_masks(int64_t limit, VecU (&masks)[2]) {
    for (int half = 0; half < 2; ++half) {
        VecI lane;
        for (int i = 0; i < kLanes; ++i) lane[i] = half * kLanes + i;
        const int32_t bound = static_cast<int32_t>(limit);
        masks[half] = reinterpret_cast<VecU>(lane < (VecI{} + bound));
    }
}

// One tile of queries: P and dS of a panel of keys.
template <typename O, int kRows>
LORA_INLINE void weights_and_gradients(
    const AttentionArgs& g, const Scratch& s, const Block& b, int64_t panel, int64_t tile) {
    constexpr int64_t kDepth = kDepthOf<O>;
    const int64_t depth = g.head_size / kDepth;
    const int64_t row_tile = row_tile_size(depth);
    const int64_t at = tile * kTileRows * kTileCols;
    const int64_t panel_at = panel * kQueryBlock * kTileCols;
    O* p = as<O>(s.p) + at / kDepth;
    O* ds = as<O>(s.ds) + (panel_at + at) / kDepth;
    const int64_t first_query = b.first_query + tile * kTileRows;
    const bool whole =
        b.num_keys == kTileCols && (!g.causal || b.first_key + kTileCols - 1 <= first_query);
    Sums<kRows> sums;
    clear(sums);
    tile_rows(sums,
              as<const O>(s.queries) + tile * row_tile,
              as<const O>(s.keys_t) + panel * depth * kTileCols,
              depth);
    const Vec scale = splat(g.alpha * kLog2E);
    for (int r = 0; r < kRows; ++r) {
        const Vec lse = splat(g.lse[first_query + r] * kLog2E);
        Vec p0 = exp2(sums.v[r][0] * scale - lse);
        Vec p1 = exp2(sums.v[r][1] * scale - lse);
        if (!whole) {
            const int64_t visible = first_query + r - b.first_key + 1;
            VecU masks[2];
            lane_masks(g.causal ? least(b.num_keys, visible) : b.num_keys, masks);
            p0 = from_bits(to_bits(p0) & masks[0]);
            p1 = from_bits(to_bits(p1) & masks[1]);
        }
        sums.v[r][0] = p0;
        sums.v[r][1] = p1;
    }
    float weights[kTileRows * kTileCols];
    store_sums(sums, weights);
    clear(sums);
    tile_rows(sums,
              as<const O>(s.d_o) + tile * row_tile,
              as<const O>(s.values_t) + panel * depth * kTileCols,
              depth);
    const Vec alpha = splat(g.alpha);
    for (int r = 0; r < kRows; r += kDepth) {
        const bool has_second = kDepth == 2 && r + 1 < kRows;
        for (int half = 0; half < 2; ++half) {
            Vec p_rows[2] = {splat(0.0F), splat(0.0F)};
            Vec ds_values[2] = {splat(0.0F), splat(0.0F)};
            for (int i = 0; i < (has_second ? 2 : 1); ++i) {
                const Vec delta = splat(g.delta[first_query + r + i]);
                p_rows[i] = load(weights + (r + i) * kTileCols + half * kLanes);
                ds_values[i] = p_rows[i] * (sums.v[r + i][half] - delta) * alpha;
            }
            const int64_t offset = r / kDepth * kTileCols + half * kLanes;
            store_operands(p + offset, p_rows[0], p_rows[1]);
            store_operands(ds + offset, ds_values[0], ds_values[1]);
            if constexpr (kDepth == 2) {
                auto* rows = as<Bf16>(s.ds_rows) + panel_at + at + r * kTileCols + half * kLanes;
                store(rows, ds_values[0]);
                store(rows + kTileCols, ds_values[1]);
            }
        }
    }
}

// Rows of one panel of dq_sums; the last tile may write beyond the queries.
LORA_INLINE int64_t dq_rows(const AttentionArgs& g) {
    return round_up(g.num_queries, kTileRows) + kTileRows;
}

int64_t dq_floats(const AttentionArgs& g) {
    return num_panels(g.head_size) * kTileCols * dq_rows(g);
}

// dq_sums [panel of d][queries][kTileCols] += dS K over the keys of the range.
template <typename O>
void add_dq(const AttentionArgs& g, const Scratch& s, const Block& b, int64_t panels) {
    constexpr int kPanelDepth = kTileCols / kDepthOf<O>;
    const int64_t padded_queries = dq_rows(g);
    for (int64_t column = 0; column < num_panels(g.head_size); ++column) {
        const O* keys = as<const O>(s.keys) + column * panels * kPanelDepth * kTileCols;
        for (int64_t tile = 0; tile < num_tiles(b.num_queries); ++tile) {
            float* dq = g.dq_sums +
                        (column * padded_queries + b.first_query + tile * kTileRows) * kTileCols;
            with_rows(least(kTileRows, b.num_queries - tile * kTileRows), [&]<int kRows>() {
                Sums<kRows> sums;
                load_sums(sums, dq);
                for (int64_t panel = 0; panel < panels; ++panel) {
                    const O* a = as<const O>(kDepthOf<O> == 1 ? s.ds : s.ds_rows) +
                                 (panel * kQueryBlock + tile * kTileRows) * kPanelDepth;
                    const O* k = keys + panel * kPanelDepth * kTileCols;
#pragma GCC unroll 4
                    for (int i = 0; i < kPanelDepth; ++i) {
                        tile_step<kRows, kPanelDepth>(sums, a + i, k + i * kTileCols);
                    }
                }
                store_sums(sums, dq);
            });
        }
    }
}

template <typename T, typename O>
void run_keys(const AttentionArgs& g, const Scratch& s, int64_t first_key, int64_t num_keys) {
    const int64_t d = g.head_size;
    const int64_t panels = num_panels(num_keys);
    const int64_t at = first_key * g.stride;
    const Rows<T> keys{static_cast<const T*>(g.k) + at, g.stride, num_keys, d};
    const Rows<T> values{static_cast<const T*>(g.v) + at, g.stride, num_keys, d};
    pack_transposed(row_operands(keys, as<O>(s.keys_t)), as<O>(s.keys_t));
    pack_transposed(row_operands(values, as<O>(s.values_t)), as<O>(s.values_t));
    const size_t d_panels = static_cast<size_t>(num_panels(d));
    const size_t key_rows = static_cast<size_t>(panels * kTileCols);
    memset(s.keys, 0, d_panels * key_rows / kDepthOf<O> * kTileCols * sizeof(O));
    for (int64_t column = 0; column < num_panels(d); ++column) {
        const int64_t from = column * kTileCols;
        pack_natural(Rows<T>{keys.src + from, g.stride, num_keys, least(kTileCols, d - from)},
                     as<O>(s.keys) + column * panels * kTileCols / kDepthOf<O> * kTileCols);
    }
    const size_t sums_bytes = static_cast<size_t>(panels * d * kTileCols) * sizeof(float);
    memset(s.dk_t, 0, sums_bytes);
    memset(s.dv_t, 0, sums_bytes);
    const int64_t start = g.causal ? first_key / kQueryBlock * kQueryBlock : 0;
    for (int64_t query = start; query < g.num_queries; query += kQueryBlock) {
        const int64_t num_queries = least(kQueryBlock, g.num_queries - query);
        const Rows<T> q{static_cast<const T*>(g.q) + query * g.stride, g.stride, num_queries, d};
        const Rows<T> d_o{
            static_cast<const T*>(g.d_o) + query * g.stride, g.stride, num_queries, d};
        pack_row_form(row_operands(q, as<O>(s.queries)), as<O>(s.queries));
        pack_row_form(row_operands(d_o, as<O>(s.d_o)), as<O>(s.d_o));
        const auto q_f = column_operands(q, as<O>(s.queries_f));
        const auto d_o_f = column_operands(d_o, as<O>(s.d_o_f));
        for (int64_t panel = 0; panel < panels; ++panel) {
            const int64_t key = panel * kTileCols;
            const Block b{query, num_queries, first_key + key, least(kTileCols, num_keys - key)};
            for (int64_t tile = 0; tile < num_tiles(num_queries); ++tile) {
                with_rows(least(kTileRows, num_queries - tile * kTileRows), [&]<int kRows>() {
                    weights_and_gradients<O, kRows>(g, s, b, panel, tile);
                });
            }
            const O* ds = as<const O>(s.ds) + panel * kQueryBlock * kTileCols / kDepthOf<O>;
            add_transposed_product(d_o_f, num_queries, d, as<const O>(s.p), s.dv_t + key * d);
            add_transposed_product(q_f, num_queries, d, ds, s.dk_t + key * d);
        }
        add_dq<O>(g, s, Block{query, num_queries, first_key, num_keys}, panels);
    }
    float ones[kTileCols];
    for (float& one : ones) one = 1.0F;
    for (int64_t panel = 0; panel < panels; ++panel) {
        const int64_t key = panel * kTileCols;
        const int64_t rows = least(kTileCols, num_keys - key);
        const int64_t to = (first_key + key) * g.stride;
        write_transposed(s.dk_t + key * d, ones, rows, d, static_cast<T*>(g.dk) + to, g.stride);
        write_transposed(s.dv_t + key * d, ones, rows, d, static_cast<T*>(g.dv) + to, g.stride);
    }
}

template <typename T, typename O>
void run(const AttentionArgs& g) {
    const Scratch s = cut(g, g.scratch);
    for (int64_t key = g.begin; key < g.end; key += kKeyBlock) {
        run_keys<T, O>(g, s, key, least(kKeyBlock, g.end - key));
    }
}

void attention_backward(const AttentionArgs& g) {
    with_types(g, [&]<typename T, typename O>() { run<T, O>(g); });
}

template <typename T>
void write_dq_as(const AttentionArgs& g, const PartialDq& partial) {
    for (int64_t query = g.begin; query < g.end; ++query) {
        T* to = static_cast<T*>(g.dq) + query * g.stride;
        for (int64_t j = 0; j < g.head_size; j += kLanes) {
            const float* from =
                partial.first + (j / kTileCols * dq_rows(g) + query) * kTileCols + j % kTileCols;
            Vec sum = load(from);
            for (int64_t i = 1; i < partial.count; ++i) sum += load(from + i * partial.step);
            store_up_to(to + j, sum, g.head_size - j);
        }
    }
}

void write_dq(const AttentionArgs& g, const PartialDq& partial) {
    if (g.type == Elem::kBF16) {
        write_dq_as<Bf16>(g, partial);
    } else {
        write_dq_as<float>(g, partial);
    }
}

template <typename T>
void delta_as(const AttentionArgs& g) {
    for (int64_t query = g.begin; query < g.end; ++query) {
        const T* o = static_cast<const T*>(g.o) + query * g.stride;
        const T* d_o = static_cast<const T*>(g.d_o) + query * g.stride;
        Vec sum = splat(0.0F);
        int64_t i = 0;
        for (; i + kLanes <= g.head_size; i += kLanes) sum += load(o + i) * load(d_o + i);
        float total = sum_lanes(sum);
        for (; i < g.head_size; ++i) total += load_one(o + i) * load_one(d_o + i);
        g.delta[query] = total;
    }
}

void attention_delta(const AttentionArgs& g) {
    if (g.type == Elem::kBF16) {
        delta_as<Bf16>(g);
    } else {
        delta_as<float>(g);
    }
}

}  // namespace

void add_attention_backward_kernels(KernelTable& table) {
    table.attention.name = "own attention";
    table.attention.key_block = kKeyBlock;
    table.attention.backward_scratch = scratch_bytes;
    table.attention.dq_floats = dq_floats;
    table.attention.delta = attention_delta;
    table.attention.backward = attention_backward;
    table.attention.write_dq = write_dq;
}

}  // namespace lora::cpu::LORA_CPU_ISA
