#include "nn/attention.h"

namespace lora::nn {

ValueId attention(
    const NetContext& net, ValueId q, ValueId k, ValueId v, const AttentionOptions& options) {
    return net.builder->attention(q, k, v, {.heads = options.heads, .causal = options.causal})
        .output;
}

}  // namespace lora::nn
