// Defines the tensor core kernels of one head size; compute capability 8.0 and later has them.
#pragma once

#include "backend/cuda/kernels/attention_backward.cuh"
#include "backend/cuda/kernels/attention_forward.cuh"

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_ATTENTION_BODY(name, tile, D, type) name<type, D, tile(D)>(p)
#else
#define LORA_ATTENTION_BODY(name, tile, D, type) static_cast<void>(p)
#endif

#define LORA_ATTENTION_KERNEL(name, D, suffix, type)                                              \
    extern "C" __global__ void __launch_bounds__(name##_tile(D).threads(), name##_tile(D).blocks) \
        name##_##D##_##suffix(const AttentionArgs p) {                                            \
        LORA_ATTENTION_BODY(name, name##_tile, D, type);                                          \
    }

#define LORA_ATTENTION_FORWARD(D)                                    \
    LORA_ATTENTION_KERNEL(attention_forward, D, bf16, __nv_bfloat16) \
    LORA_ATTENTION_KERNEL(attention_forward, D, f16, __half)

#define LORA_ATTENTION_BACKWARD(D)                               \
    LORA_ATTENTION_KERNEL(attention_dq, D, bf16, __nv_bfloat16)  \
    LORA_ATTENTION_KERNEL(attention_dq, D, f16, __half)          \
    LORA_ATTENTION_KERNEL(attention_dkv, D, bf16, __nv_bfloat16) \
    LORA_ATTENTION_KERNEL(attention_dkv, D, f16, __half)
