// The backend that defines every operator's numbers: plain loops in double, no threads.
// Not for real training: the cpu backend gives the same numbers much faster.
// Used by tests, the gradient check and `--backend reference`.
// Range    compute types F64, F32, F16, BF16; values are rounded when an operator stores them.
#pragma once

#include <memory>

#include "backend/registry.h"

namespace lora::reference {

// The number of threads is ignored.
[[nodiscard]] std::unique_ptr<backend::Backend> open(const backend::BackendOptions& options);
// The row for backend::Registry; never the default where another backend can run.
[[nodiscard]] backend::BackendEntry entry();

}  // namespace lora::reference
