// Attention of heads of size 80.
#include "backend/cuda/kernels/attention_kernels.cuh"

namespace lora::cuda {
LORA_ATTENTION_FORWARD(80)
LORA_ATTENTION_BACKWARD(80)
}  // namespace lora::cuda
