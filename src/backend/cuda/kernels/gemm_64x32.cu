// Products in tiles of 64 x 32; gemm.cuh says what they need and how they are launched.
#include "backend/cuda/kernels/gemm.cuh"

LORA_GEMM_PLAIN(lora::cuda::kGemm64x32, 64x32, false, bf16, __nv_bfloat16)
LORA_GEMM_PLAIN(lora::cuda::kGemm64x32, 64x32, false, f16, __half)
LORA_GEMM_GATHERED(lora::cuda::kGemm64x32, 64x32, false, bf16, __nv_bfloat16)
LORA_GEMM_GATHERED(lora::cuda::kGemm64x32, 64x32, false, f16, __half)
