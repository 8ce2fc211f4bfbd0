// Products in tiles of 64 x 64; gemm.cuh says what they need and how they are launched.
#include "backend/cuda/kernels/gemm.cuh"

LORA_GEMM_PLAIN(lora::cuda::kGemm64x64, 64x64, false, bf16, __nv_bfloat16)
LORA_GEMM_PLAIN(lora::cuda::kGemm64x64, 64x64, false, f16, __half)
LORA_GEMM_GATHERED(lora::cuda::kGemm64x64, 64x64, false, bf16, __nv_bfloat16)
LORA_GEMM_GATHERED(lora::cuda::kGemm64x64, 64x64, false, f16, __half)
