// Attention of heads of size 40.
#include "backend/cuda/kernels/attention_kernels.cuh"

namespace lora::cuda {
LORA_ATTENTION_FORWARD(40)
LORA_ATTENTION_BACKWARD(40)
}  // namespace lora::cuda
