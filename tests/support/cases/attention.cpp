// Cases of attention.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;
using ir::ValueId;

namespace {

struct AttentionCase {
    int64_t batch = 1;
    int64_t heads = 1;
    int64_t queries = 1;
    int64_t keys = 1;
    int64_t head_size = 1;
    bool causal = false;
    bool differentiable = true;
};

OpCase attention_case(std::string name, const AttentionCase& s) {
    return {std::move(name),
            OpKind::kAttention,
            [s](CaseBuilder& c) {
                const int64_t channels = s.heads * s.head_size;
                const ValueId q = c.operand({s.batch, s.queries, channels});
                const ValueId k = c.operand({s.batch, s.keys, channels});
                const ValueId v = c.operand({s.batch, s.keys, channels});
                const ir::AttentionResult result =
                    c.b().attention(q, k, v, {.heads = s.heads, .causal = s.causal});
                c.result(result.output);
                c.result(result.lse);
            },
            std::max(s.keys, s.head_size),
            s.differentiable,
            // Scores multiply rounding errors before the exponential does.
            4};
}

}  // namespace

std::vector<OpCase> attention() {
    return {
        attention_case("attention/self",
                       {.batch = 2, .heads = 2, .queries = 5, .keys = 5, .head_size = 4}),
        attention_case("attention/cross",
                       {.batch = 2, .heads = 3, .queries = 7, .keys = 4, .head_size = 5}),
        attention_case(
            "attention/causal",
            {.batch = 2, .heads = 2, .queries = 6, .keys = 6, .head_size = 3, .causal = true}),
        attention_case("attention/one_head", {.queries = 9, .keys = 11, .head_size = 8}),
        attention_case("attention/one_query", {.batch = 3, .heads = 2, .keys = 3, .head_size = 2}),
        attention_case("attention/head_size_one", {.heads = 3, .queries = 4, .keys = 5}),
        // The gradient of q and k is zero with a single key, but for cancellation.
        attention_case(
            "attention/one_key",
            {.batch = 2, .heads = 2, .queries = 3, .head_size = 4, .differentiable = false}),
        attention_case("attention/long",
                       {.batch = 1, .heads = 2, .queries = 133, .keys = 77, .head_size = 40}),
        attention_case(
            "attention/long_causal",
            {.batch = 1, .heads = 2, .queries = 77, .keys = 77, .head_size = 16, .causal = true}),
        // More than one block of queries and of keys for every kernel, the last one partial.
        attention_case("attention/blocks", {.queries = 300, .keys = 290, .head_size = 24}),
        attention_case("attention/blocks_causal",
                       {.heads = 2, .queries = 270, .keys = 270, .head_size = 16, .causal = true}),
        {"attention/shared_tokens",
         OpKind::kAttention,
         [](CaseBuilder& c) {
             const ValueId x = c.operand({2, 5, 6});
             const ValueId k = c.b().linear(x, c.weight({6, 6}, {.scale = 0.4}));
             c.result(c.b().attention(x, k, x, {.heads = 2}).output);
         },
         6,
         true,
         4},
    };
}

}  // namespace lora::support::cases
