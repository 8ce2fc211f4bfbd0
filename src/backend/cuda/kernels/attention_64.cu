// Attention of heads of size 64.
#include "backend/cuda/kernels/attention_kernels.cuh"

namespace lora::cuda {
LORA_ATTENTION_FORWARD(64)
LORA_ATTENTION_BACKWARD(64)
}  // namespace lora::cuda
