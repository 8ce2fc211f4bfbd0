// Multi-head attention between projected tokens.
// Shapes   q [N, Tq, C], k and v [N, Tk, C] -> [N, Tq, C]; heads split C.
// Source   Vaswani et al., arXiv:1706.03762 eq. 1; scale 1/sqrt(C / heads).
#pragma once

#include "nn/lora.h"

namespace lora::nn {

struct AttentionOptions {
    int64_t heads = 1;
    bool causal = false;  // a token sees itself and what stands before it
};

[[nodiscard]] ValueId attention(
    const NetContext& net, ValueId q, ValueId k, ValueId v, const AttentionOptions& options);

}  // namespace lora::nn
