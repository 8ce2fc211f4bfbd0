// Products in tiles of 128 x 128; gemm.cuh says what they need and how they are launched.
#include "backend/cuda/kernels/gemm.cuh"

LORA_GEMM_PLAIN(lora::cuda::kGemm128x128, 128x128, false, bf16, __nv_bfloat16)
LORA_GEMM_PLAIN(lora::cuda::kGemm128x128, 128x128, false, f16, __half)
LORA_GEMM_GATHERED(lora::cuda::kGemm128x128, 128x128, false, bf16, __nv_bfloat16)
LORA_GEMM_GATHERED(lora::cuda::kGemm128x128, 128x128, false, f16, __half)
