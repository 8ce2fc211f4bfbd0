// Instructions that products on tensor cores are made of, in gemm and attention alike. All need
// compute capability 8.0.
#pragma once

#include "backend/cuda/kernels/common.cuh"

namespace lora::cuda {

__device__ __forceinline__ unsigned char* dynamic_shared() {
    extern __shared__ __align__(128) unsigned char lora_shared[];
    return lora_shared;
}

__device__ __forceinline__ uint32_t shared_address(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Copies 16 or 8 bytes to shared memory in the background; zeros unless `valid`.
__device__ __forceinline__ void copy_16(uint32_t dst, const void* src, bool valid) {
    const int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(dst), "l"(src), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void copy_8(uint32_t dst, const void* src, bool valid) {
    const int bytes = valid ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(dst), "l"(src), "r"(bytes)
                 : "memory");
}
__device__ __forceinline__ void copies_commit() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}
// Until at most kPending of this thread's committed groups are under way.
template <int kPending = 0>
__device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

__device__ __forceinline__ void store_16(uint32_t dst, const uint4& v) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(dst),
                 "r"(v.x),
                 "r"(v.y),
                 "r"(v.z),
                 "r"(v.w)
                 : "memory");
}

// 8 x 8 matrices of 16-bit elements. Lane l gives the address of row l % 8 of matrix l / 8 and gets
// elements (l / 4, 2 (l % 4)) and the next of every matrix; transposed: (2 (l % 4), l / 4) and the
// one below.
template <bool kTransposed = false>
__device__ __forceinline__ void load_4_matrices(uint32_t (&r)[4], uint32_t address) {
    if constexpr (kTransposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                     : "r"(address)
                     : "memory");
    }
}
template <bool kTransposed = false>
__device__ __forceinline__ void load_2_matrices(uint32_t (&r)[2], uint32_t address) {
    if constexpr (kTransposed) {
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(address)
                     : "memory");
    } else {
        asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                     : "=r"(r[0]), "=r"(r[1])
                     : "r"(address)
                     : "memory");
    }
}

// c [16, 8] += a [16, depth] b [depth, 8], depth 16 or 8. With g = lane / 4 and t = lane % 4:
//   c  (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//   a  pairs from (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)
//   b  pairs down from (2t, g), (2t + 8, g)
template <typename T>
struct Mma;
#define LORA_MMA(type, name, to_pair)                                                  \
    template <>                                                                        \
    struct Mma<type> {                                                                 \
        static __device__ __forceinline__ void depth_16(float (&c)[4],                 \
                                                        const uint32_t (&a)[4],        \
                                                        uint32_t b0,                   \
                                                        uint32_t b1) {                 \
            asm("mma.sync.aligned.m16n8k16.row.col.f32." name "." name                 \
                ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
                : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                       \
                : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));       \
        }                                                                              \
        static __device__ __forceinline__ void depth_8(float (&c)[4],                  \
                                                       const uint32_t (&a)[2],         \
                                                       uint32_t b) {                   \
            asm("mma.sync.aligned.m16n8k8.row.col.f32." name "." name                  \
                ".f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"             \
                : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                       \
                : "r"(a[0]), "r"(a[1]), "r"(b));                                       \
        }                                                                              \
        static __device__ __forceinline__ uint32_t pair(float low, float high) {       \
            const auto both = to_pair(low, high);                                      \
            uint32_t bits;                                                             \
            static_assert(sizeof(both) == sizeof(bits));                               \
            memcpy(&bits, &both, sizeof(bits));                                        \
            return bits;                                                               \
        }                                                                              \
    };
LORA_MMA(__nv_bfloat16, "bf16", __floats2bfloat162_rn)
LORA_MMA(__half, "f16", __floats2half2_rn)
#undef LORA_MMA

}  // namespace lora::cuda
