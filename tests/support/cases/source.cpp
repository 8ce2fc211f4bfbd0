// Cases of embeddings.
#include "support/op_case.h"

namespace lora::support::cases {

using ir::OpKind;

std::vector<OpCase> source() {
    return {
        {"embedding/odd",
         OpKind::kEmbedding,
         [](CaseBuilder& c) {
             const Fill ids{.kind = Fill::Kind::kIds, .limit = 11};
             c.result(c.b().embedding(c.input({2, 3}, DType::kI32, ids), c.weight({11, 5})));
         },
         1,
         false},
        {"embedding/one",
         OpKind::kEmbedding,
         [](CaseBuilder& c) {
             const Fill ids{.kind = Fill::Kind::kIds, .limit = 1};
             c.result(c.b().embedding(c.input({1}, DType::kI32, ids), c.weight({1, 7})));
         },
         1,
         false},
        // Angles reach 1000 radians, where fp32 is 6e-5 apart: 1000 times the rounding of one.
        {"timestep_embedding/odd",
         OpKind::kTimestepEmbedding,
         [](CaseBuilder& c) {
             const Fill timesteps{.kind = Fill::Kind::kIds, .limit = 1000};
             c.result(
                 c.b().timestep_embedding(c.input({3}, DType::kF32, timesteps), 14, c.dtype()));
         },
         1,
         false,
         1000},
        {"timestep_embedding/one",
         OpKind::kTimestepEmbedding,
         [](CaseBuilder& c) {
             const Fill timesteps{.kind = Fill::Kind::kIds, .limit = 10};
             c.result(c.b().timestep_embedding(c.input({1}, DType::kF32, timesteps), 2, c.dtype()));
         },
         1,
         false,
         10},
    };
}

}  // namespace lora::support::cases
