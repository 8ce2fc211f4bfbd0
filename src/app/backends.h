// The backends this program was built with; the one place that names them all.
#pragma once

#include "backend/registry.h"

namespace lora::app {

[[nodiscard]] const backend::Registry& all_backends();
// First in main(), before anything else.
void prepare_backends(char** argv);
// With the file in the program's folder that keeps what autotuning found.
[[nodiscard]] backend::BackendOptions backend_options(int num_threads, bool autotune = true);

}  // namespace lora::app
