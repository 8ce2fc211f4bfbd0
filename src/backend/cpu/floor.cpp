#include "backend/cpu/floor.h"

#include "backend/cpu/internal/floor_products.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

MatrixProduct matrix(int64_t batch, int64_t rows, int64_t depth, int64_t cols, DType dtype) {
    return {batch, rows, depth, cols, dtype, dtype};
}

// scores, output; d_scores, d_v, d_k, d_q for the backward pass.
std::vector<MatrixProduct> attention_products(const ir::Graph& g, const ir::Node& n) {
    const size_t first = n.op == OpKind::kAttention ? 0 : 1;
    const ir::Value& q = g.value(n.inputs[first]);
    const int64_t keys = g.value(n.inputs[first + 1]).shape[1];
    const int64_t queries = q.shape[1];
    const int64_t batch = q.shape[0] * n.attrs.heads;
    const int64_t d = q.shape[2] / n.attrs.heads;
    const MatrixProduct scores = matrix(batch, queries, d, keys, q.dtype);
    const MatrixProduct rows = matrix(batch, queries, keys, d, q.dtype);
    const MatrixProduct columns = matrix(batch, keys, queries, d, q.dtype);
    if (n.op == OpKind::kAttention) return {scores, rows};
    return {scores, scores, columns, columns, rows};
}

std::vector<MatrixProduct> matrix_products(const ir::Graph& g, const ir::Node& n) {
    if (n.op == OpKind::kAttention || n.op == OpKind::kAttentionBackward) {
        return attention_products(g, n);
    }
    const ir::Value& a = g.value(n.inputs[0]);
    const ir::Value& b = g.value(n.inputs[1]);
    if (n.op == OpKind::kLinear) {
        const int64_t in = a.shape[-1];
        const int64_t out = b.shape.num_elements() / in;
        return {matrix(1, a.shape.num_elements() / in, in, out, a.dtype)};
    }
    MatrixProduct p =
        matrix(1, a.shape[-1], a.shape.num_elements() / a.shape[-1], b.shape[-1], a.dtype);
    p.dst_dtype = DType::kF32;
    return {p};
}

bool is_conv(const ir::Node& n) {
    return n.op == OpKind::kConv2d || n.op == OpKind::kConv2dBackwardInput ||
           n.op == OpKind::kConv2dBackwardWeight;
}

// The forward convolution behind any of the three.
ConvProduct conv_product(const ir::Graph& g, const ir::Node& n) {
    const ir::Value& first = g.value(n.inputs[0]);
    const ir::Value& second = g.value(n.inputs[1]);
    const ir::Value& result = g.value(n.outputs[0]);
    ConvProduct p;
    p.op = n.op;
    p.dtype = first.dtype;
    p.stride = n.attrs.stride;
    p.pad = n.attrs.pad;
    p.x = n.op == OpKind::kConv2d                ? first.shape
          : n.op == OpKind::kConv2dBackwardInput ? result.shape
                                                 : second.shape;
    p.y = n.op == OpKind::kConv2d ? result.shape : first.shape;
    p.w = n.op == OpKind::kConv2dBackwardWeight ? result.shape : second.shape;
    return p;
}

}  // namespace

std::optional<double> ProductFloor::ms(const ir::Graph& g, const ir::Node& n) {
    const ir::OpFamily family = ir::op_info(n.op).family;
    const bool multiplies = family == ir::OpFamily::kProduct || family == ir::OpFamily::kAttention;
    if (!multiplies || !can_time_products()) return std::nullopt;
    const auto once = [this](const auto& product) {
        const std::string key = product.key();
        const auto found = known_.find(key);
        if (found != known_.end()) return found->second;
        return known_[key] = time_product(product);
    };
    if (is_conv(n)) return once(conv_product(g, n));
    double total = 0;
    for (const MatrixProduct& p : matrix_products(g, n)) total += once(p);
    return total;
}

}  // namespace lora::cpu
