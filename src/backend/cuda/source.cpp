// Embeddings of tokens and of timesteps.
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

}  // namespace

Launches source_launches(const NodeContext& c) {
    if (c.node.op == ir::OpKind::kEmbedding) return {embedding_launch(c)};
    return {timestep_launch(c)};
}

}  // namespace lora::cuda
