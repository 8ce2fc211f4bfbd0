// Embeddings of tokens and of timesteps; weights kept in 8 bits.
#include <string>

#include "backend/cuda/internal/launch.h"
#include "backend/cuda/kernels/source_args.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

constexpr const char* kFile = "source";

Launch embedding_launch(const NodeContext& c) {
    const ir::Value& table = c.input(1);
    const auto bytes = static_cast<int64_t>(dtype_bytes(table.dtype));
    EmbeddingArgs args;
    args.ids = c.in_ptr<const int32_t>(0);
    args.table = c.in_ptr(1);
    args.dst = c.out_ptr();
    args.count = c.input(0).shape.num_elements();
    args.vocabulary = table.shape[0];
    const int64_t row_bytes = table.shape[1] * bytes;
    const bool aligned = all_aligned({args.table, args.dst}) && row_bytes % 16 == 0;
    const int64_t unit = aligned ? 16 : bytes;
    LORA_CHECK(unit == 2 || unit == 4 || unit == 16, "an embedding table of another type");
    args.length = row_bytes / unit;
    return make_launch(kFile,
                       "embedding_b" + std::to_string(unit),
                       piece_grid(c.device, args.count * args.length),
                       kPieceThreads,
                       args);
}

Launch timestep_launch(const NodeContext& c) {
    LORA_CHECK(c.input(0).dtype == DType::kF32, "timesteps are fp32");
    TimestepEmbeddingArgs args;
    args.timesteps = c.in_ptr<const float>(0);
    args.dst = c.out_ptr();
    args.count = c.input(0).shape.num_elements();
    args.half = c.node.attrs.size / 2;
    return make_launch(kFile,
                       kernel_name("timestep_embedding", c.output().dtype),
                       piece_grid(c.device, args.count * args.half),
                       kPieceThreads,
                       args);
}

// Filters go from channels-last rows to channels-last rows (is_unpacked_filter), so that order does
// not matter here.
Launch dequantize_launch(const NodeContext& c) {
    LORA_CHECK(c.input(0).dtype == DType::kU8, "quantised weights are U8");
    DequantizeArgs args;
    args.src = c.in_ptr<const uint8_t>(0);
    args.scale = c.in_ptr<const float>(1);
    args.dst = c.out_ptr();
    args.count = c.input(0).shape.num_elements();
    args.length = args.count / c.input(0).shape[0];
    args.aligned = args.length % kDequantizedPiece == 0 && all_aligned({args.src, args.dst});
    const int64_t threads = args.aligned ? args.count / kDequantizedPiece : args.count;
    return make_launch(kFile,
                       kernel_name("dequantize", c.output().dtype),
                       piece_grid(c.device, threads),
                       kPieceThreads,
                       args);
}

}  // namespace

Launches source_launches(const NodeContext& c) {
    if (c.node.op == ir::OpKind::kDequantize) return {dequantize_launch(c)};
    if (c.node.op == ir::OpKind::kEmbedding) return {embedding_launch(c)};
    return {timestep_launch(c)};
}

}  // namespace lora::cuda
