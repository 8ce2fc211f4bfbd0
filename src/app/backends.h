// The backends this program was built with; the one place that names them all.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backend/registry.h"

namespace lora::app {

[[nodiscard]] const backend::Registry& all_backends();
// First in main(), before anything else.
void prepare_backends(char** argv);
// With the file in the program's folder that keeps what autotuning found.
[[nodiscard]] backend::BackendOptions backend_options(int num_threads, bool autotune = true);

// NVIDIA's libraries of products by name, with their versions; an empty version: not found. Only
// lora_bench asks them for anything. None in a program without the cuda backend.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> vendor_libraries();

}  // namespace lora::app
