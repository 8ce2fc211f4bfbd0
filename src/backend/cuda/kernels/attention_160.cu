// Attention of heads of size 160.
#include "backend/cuda/kernels/attention_kernels.cuh"

namespace lora::cuda {
LORA_ATTENTION_FORWARD(160)
LORA_ATTENTION_BACKWARD(160)
}  // namespace lora::cuda
