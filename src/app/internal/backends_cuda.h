// Adds the cuda backend, or in a program that was built without its kernels the word that it has
// none.
#pragma once

#include "backend/registry.h"

namespace lora::app {

void add_cuda(backend::Registry& registry);

}  // namespace lora::app
