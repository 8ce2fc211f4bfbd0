// Random training graphs for tests of the planner: layers of many kinds with skips and residuals,
// frozen and trainable, a loss and its gradients.
#pragma once

#include <cstdint>

#include "support/op_case.h"

namespace lora::support {

[[nodiscard]] CaseGraph random_training_graph(uint64_t seed, DType dtype, int64_t num_layers);

}  // namespace lora::support
