// The inner loops of the cpu backend, as a table of functions: one table per instruction set, the
// best one chosen when the backend opens. Every function works on a piece of an operator, in one
// thread; the files beside backend/cpu/*.cpp cut operators into pieces.
// Not here: oneDNN, memory, threads. Accumulation is fp32 unless a comment says otherwise.
#pragma once

#include <cstdint>

#include "backend/update_args.h"

namespace lora::cpu {

enum class Elem : uint8_t { kF32, kBF16 };

enum class Curve : uint8_t { kNone, kSilu, kGelu, kQuickGelu };

struct ElementwiseArgs {
    Elem type = Elem::kF32;
    Curve curve = Curve::kNone;
    float alpha = 1;
    const void* a = nullptr;
    const void* b = nullptr;
    void* dst = nullptr;
    int64_t inner = 0;  // geglu: F; add, add_channel: period of b
    float beta = 0;     // mix: factor of b
};

// [rows, channels] of one image lying channels-last.
struct GroupNormArgs {
    Elem type = Elem::kF32;
    bool silu = false;
    const void* x = nullptr;
    const void* dy = nullptr;
    const void* addend = nullptr;
    void* dst = nullptr;
    int64_t channels = 0;
    // Per channel. Forward: y = f(scale x + shift). Backward also needs mean and rstd, and
    // dx = c_dz dz + c_x x + c_0.
    const float* scale = nullptr;
    const float* shift = nullptr;
    const float* mean = nullptr;
    const float* rstd = nullptr;
    const float* c_dz = nullptr;
    const float* c_x = nullptr;
    const float* c_0 = nullptr;
    // Results per channel over the rows of the piece: mean and sum of squared distances
    // (statistics), or sum of dz and of dz * xhat (backward sums).
    float* sums = nullptr;  // [2, channels]
};

struct LayerNormArgs {
    Elem type = Elem::kF32;
    const void* x = nullptr;
    const void* dy = nullptr;
    const void* addend = nullptr;
    const float* gamma = nullptr;
    const float* beta = nullptr;
    float* stats = nullptr;
    void* dst = nullptr;
    int64_t size = 0;
    float eps = 0;
};

// One block of a matrix product: up to `rows` packed rows of A times panels of B.
struct GemmBlock {
    // Row form [row tile][depth / gemm_line][gemm_rows][gemm_line], or column form
    // [row tile][depth][gemm_rows].
    const float* a = nullptr;
    bool a_columns = false;
    int64_t rows = 0;
    int64_t depth = 0;
    const void* b = nullptr;  // first panel, at this block's depth: [depth][gemm_cols]
    Elem b_type = Elem::kF32;
    int64_t b_panel_stride = 0;  // elements from panel to panel
    int64_t cols = 0;            // columns from the first panel on; the last panel may be partial
    // Partial sums between depth blocks: [panel][rows rounded up][gemm_cols].
    float* partial = nullptr;
    bool first = true;  // starts from zero instead of `partial`
    bool last = true;   // writes dst instead of `partial`
    // dst = alpha * sum + bias + addend, row by row.
    float alpha = 1;
    const float* bias = nullptr;               // at the first column, or null
    void* const* dst_rows = nullptr;           // at the first column
    const void* const* addend_rows = nullptr;  // or null; may be dst_rows
    Elem dst_type = Elem::kF32;
    int64_t dst_step = 1;  // elements from column to column; other than 1 only for fp32
};

// Strided [rows][cols] source of a packing function.
struct PackSource {
    const void* src = nullptr;  // null: zeros (pack_rows and pack_panels)
    Elem type = Elem::kF32;
    int64_t row_stride = 0;  // elements
    int64_t rows = 0;
    int64_t cols = 0;
    int64_t first_row = 0;  // of the destination, for a source gathered piece by piece
};

// One head of one sample. Rows of q, k, v, o lie `stride` elements apart.
struct AttentionArgs {
    Elem type = Elem::kF32;
    const void* q = nullptr;
    const void* k = nullptr;
    const void* v = nullptr;
    void* o = nullptr;     // backward reads it
    float* lse = nullptr;  // backward reads it
    const void* d_o = nullptr;
    void* dk = nullptr;
    void* dv = nullptr;
    int64_t stride = 0;
    int64_t head_size = 0;
    int64_t num_queries = 0;
    int64_t num_keys = 0;
    float alpha = 1;
    bool causal = false;
    int64_t begin = 0;  // forward: queries; backward: keys
    int64_t end = 0;
    float* delta = nullptr;    // backward: [num_queries], sum of d_o * o per query
    float* dq_sums = nullptr;  // backward: gradients of all queries, added to; a kernel's own order
    void* dq = nullptr;        // what write_dq makes of them
    void* scratch = nullptr;
};

// Sums of one head's dq, one for each chunk of keys.
struct PartialDq {
    const float* first = nullptr;
    int64_t count = 1;
    int64_t step = 0;  // floats from one to the next
};

struct AttentionKernels {
    const char* name;     // for traces
    int64_t query_block;  // most queries of one call of forward
    int64_t key_block;    // keys that backward takes at once
    // Bytes of scratch that one call needs.
    int64_t (*forward_scratch)(const AttentionArgs&);
    int64_t (*backward_scratch)(const AttentionArgs&);
    int64_t (*dq_floats)(const AttentionArgs&);  // of AttentionArgs::dq_sums
    void (*forward)(const AttentionArgs&);       // queries [begin, end)
    void (*delta)(const AttentionArgs&);         // queries [begin, end)
    void (*backward)(const AttentionArgs&);      // keys [begin, end)
    // Queries [begin, end) of dq: the partial sums, added in their order.
    void (*write_dq)(const AttentionArgs&, const PartialDq&);
};

struct KernelTable {
    const char* name;
    int lanes;
    bool native_bf16;
    // Conversions of n elements.
    void (*to_float)(Elem type, const void* src, float* dst, int64_t n);
    void (*from_float)(Elem type, const float* src, void* dst, int64_t n);
    void (*add_to_float)(Elem type, const void* src, float* dst, int64_t n);

    // Elementwise, elements [begin, end) (geglu, add_channel: rows).
    void (*activation)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*activation_backward)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*geglu)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*geglu_backward)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*add)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*multiply)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*add_rows)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*multiply_rows)(const ElementwiseArgs&, int64_t begin, int64_t end);
    void (*mix)(const ElementwiseArgs&, int64_t begin, int64_t end);
    // Rows [begin, end) of [.., inner], summed into dst [inner] fp32.
    void (*sum_rows)(const ElementwiseArgs&, int64_t begin, int64_t end);
    double (*sum_squares)(Elem type, const void* x, int64_t n);
    double (*sum_squared_differences)(Elem type, const void* a, const void* b, int64_t n);

    // Pieces (update_factored: tensors) [begin, end) of the optimizer's operators.
    void (*update_step)(ir::UpdateRule, const backend::UpdateArgs&, int64_t begin, int64_t end);
    void (*update_sums)(ir::UpdateRule, const backend::UpdateArgs&, int64_t begin, int64_t end);
    void (*update_step_8bit)(ir::UpdateRule,
                             const backend::Update8bitArgs&,
                             int64_t begin,
                             int64_t end);
    void (*update_factored)(const backend::UpdateFactoredArgs&, int64_t begin, int64_t end);

    void (*group_norm_stats)(const GroupNormArgs&, int64_t begin, int64_t end);
    void (*group_norm_apply)(const GroupNormArgs&, int64_t begin, int64_t end);
    void (*group_norm_backward_sums)(const GroupNormArgs&, int64_t begin, int64_t end);
    void (*group_norm_backward_apply)(const GroupNormArgs&, int64_t begin, int64_t end);
    void (*layer_norm)(const LayerNormArgs&, int64_t begin, int64_t end);
    void (*layer_norm_backward)(const LayerNormArgs&, int64_t begin, int64_t end);

    int gemm_rows;  // rows of a register tile
    int gemm_cols;  // columns of a panel
    int gemm_line;  // depths that the row form of A keeps together
    void (*gemm_block)(const GemmBlock&);
    // src [depth][cols] -> [panel][depth][gemm_cols], the last panel filled with zeros.
    // `panel_stride` elements from panel to panel.
    void (*pack_panels)(const PackSource&, Elem dst_type, void* dst, int64_t panel_stride);
    // src [cols][depth], that is the transposed matrix, to the same form.
    void (*pack_panels_transposed)(const PackSource&,
                                   Elem dst_type,
                                   void* dst,
                                   int64_t panel_stride);
    // src [rows of A][depth] -> row form of GemmBlock::a.
    void (*pack_rows)(const PackSource&, float* dst);
    // src [depth][rows of A] -> column form of GemmBlock::a.
    void (*pack_columns)(const PackSource&, float* dst);

    AttentionKernels attention;
    // For bf16 where the machine has matrix tiles; else null.
    const AttentionKernels* tiled_attention;
};

// The best table for this machine, or the best whose name is at most `limit` ("base", "avx2",
// "avx512", "avx512_bf16", "amx_bf16"; empty: no limit), for tests of all of them on one machine.
[[nodiscard]] const KernelTable& kernel_table(const char* limit = "");

}  // namespace lora::cpu
