// scale_weight_norms: after each update every module's change of its weight whose Frobenius norm
// exceeds a limit is shrunk to it, its factors by equal roots. Runs on the device.
// Errors   kConfig for networks whose change has no norm of its own (ia3).
// Threads  one thread.
// Source   sd-scripts apply_max_norm_regularization; LyCORIS apply_max_norm (training-semantics
//          6.6, 6.7).
#pragma once

#include <memory>

#include "backend/backend.h"
#include "train/events.h"
#include "train/optimizer.h"

namespace lora::train {

class WeightNorms {
public:
    // The buffers and the backend must outlive it. `dtype` F64 is for tests of the definition:
    // buffers then hold doubles.
    WeightNorms(backend::Backend& backend,
                const ParameterBuffers& buffers,
                const Network& network,
                double limit,
                DType dtype = DType::kF32);

    // Shrinks what is too long. Norms are those after it.
    MaxNorm limit();

private:
    DType dtype_;
    std::shared_ptr<backend::Buffer> stats_;  // [4], ir/op.h kLimitNorm
    std::unique_ptr<backend::Executable> executable_;
};

// The graph: params by key, state "stats" [4].
[[nodiscard]] ir::Graph build_limit_graph(const Network& network,
                                          double limit,
                                          DType dtype = DType::kF32);

}  // namespace lora::train
