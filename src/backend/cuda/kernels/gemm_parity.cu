// Input gradients of convolutions of stride 2; gemm.cuh says what they need and how they are
// launched.
#include "backend/cuda/kernels/gemm.cuh"

LORA_GEMM_PARITY(lora::cuda::kGemm128x64, 128x64, bf16, __nv_bfloat16)
LORA_GEMM_PARITY(lora::cuda::kGemm128x64, 128x64, f16, __half)
LORA_GEMM_PARITY(lora::cuda::kGemm64x64, 64x64, bf16, __nv_bfloat16)
LORA_GEMM_PARITY(lora::cuda::kGemm64x64, 64x64, f16, __half)
