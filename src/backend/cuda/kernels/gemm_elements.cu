// Products of sizes and strides that are no multiple of 8, such as the convolutions of 4-channel
// latents; gemm.cuh says how they are launched.
#include "backend/cuda/kernels/gemm.cuh"

LORA_GEMM_PLAIN(lora::cuda::kGemmElements, elements, true, bf16, __nv_bfloat16)
LORA_GEMM_PLAIN(lora::cuda::kGemmElements, elements, true, f16, __half)
LORA_GEMM_GATHERED(lora::cuda::kGemmElements, elements, true, bf16, __nv_bfloat16)
LORA_GEMM_GATHERED(lora::cuda::kGemmElements, elements, true, f16, __half)
