// Products with few rows, such as the time embedding's; gemm.cuh says how they are launched.
#include "backend/cuda/kernels/gemm.cuh"

LORA_GEMM_PLAIN(lora::cuda::kGemm16x64, 16x64, false, bf16, __nv_bfloat16)
LORA_GEMM_PLAIN(lora::cuda::kGemm16x64, 16x64, false, f16, __half)
