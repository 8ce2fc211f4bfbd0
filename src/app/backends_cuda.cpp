#include "app/internal/backends_cuda.h"

#include "backend/cuda/cuda_backend.h"

namespace lora::app {

void add_cuda(backend::Registry& registry) { registry.add(cuda::entry()); }

}  // namespace lora::app
