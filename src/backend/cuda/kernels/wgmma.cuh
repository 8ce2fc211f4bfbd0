// Hopper's warpgroup matrix products (sm_90a): descriptors of swizzled tiles in shared memory, and
// the instruction for 64 x n x 16. Not for other architectures.
// Source  PTX ISA, "Asynchronous warpgroup level matrix instructions"; the canonical layouts of
// 128-byte swizzled tiles as CUTLASS documents them.
#pragma once

#include "backend/cuda/kernels/tensor_core.cuh"

namespace lora::cuda {

// A tile with 128-byte swizzle at a multiple of 1024 bytes. Offsets between groups in bytes:
// `leading` between 64-element blocks of the contiguous axis, `stride` between groups of 8 rows.
__device__ __forceinline__ uint64_t tile_descriptor(uint32_t address,
                                                    uint32_t leading,
                                                    uint32_t stride) {
    return static_cast<uint64_t>((address & 0x3FFFFU) >> 4U) |
           static_cast<uint64_t>(leading >> 4U) << 16U |
           static_cast<uint64_t>(stride >> 4U) << 32U | uint64_t{1} << 62U;
}

#define LORA_D8(i)                                                                              \
    "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
        "+f"(d[i + 6]), "+f"(d[i + 7])

// Generated shapes of one pattern: the sums, then the operands.
#define LORA_WGMMA_32(name)                                         \
    asm volatile(                                                   \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %19, 0;\n "               \
        "wgmma.mma_async.sync.aligned.m64n32k16.f32." name "." name \
        " "                                                         \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15},"  \
        " %16, %17, p, 1, 1, %20, %18;\n}\n"                        \
        : LORA_D8(0), LORA_D8(8)                                    \
        : "l"(a), "l"(b), "n"(kTransposedB), "r"(keep), "n"(kTransposedA))

#define LORA_WGMMA_64(name)                                                 \
    asm volatile(                                                           \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %35, 0;\n "                       \
        "wgmma.mma_async.sync.aligned.m64n64k16.f32." name "." name         \
        " "                                                                 \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"           \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}," \
        " %32, %33, p, 1, 1, %36, %34;\n}\n"                                \
        : LORA_D8(0), LORA_D8(8), LORA_D8(16), LORA_D8(24)                  \
        : "l"(a), "l"(b), "n"(kTransposedB), "r"(keep), "n"(kTransposedA))

#define LORA_WGMMA_128(name)                                                \
    asm volatile(                                                           \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %67, 0;\n "                       \
        "wgmma.mma_async.sync.aligned.m64n128k16.f32." name "." name        \
        " "                                                                 \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"           \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"  \
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"  \
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}," \
        " %64, %65, p, 1, 1, %68, %66;\n}\n"                                \
        : LORA_D8(0),                                                       \
          LORA_D8(8),                                                       \
          LORA_D8(16),                                                      \
          LORA_D8(24),                                                      \
          LORA_D8(32),                                                      \
          LORA_D8(40),                                                      \
          LORA_D8(48),                                                      \
          LORA_D8(56)                                                       \
        : "l"(a), "l"(b), "n"(kTransposedB), "r"(keep), "n"(kTransposedA))

#define LORA_WGMMA_160(name)                                                \
    asm volatile(                                                           \
        "{\n.reg .pred p;\nsetp.ne.b32 p, %83, 0;\n "                       \
        "wgmma.mma_async.sync.aligned.m64n160k16.f32." name "." name        \
        " "                                                                 \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"           \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"  \
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"  \
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"  \
        "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79}," \
        " %80, %81, p, 1, 1, %84, %82;\n}\n"                                \
        : LORA_D8(0),                                                       \
          LORA_D8(8),                                                       \
          LORA_D8(16),                                                      \
          LORA_D8(24),                                                      \
          LORA_D8(32),                                                      \
          LORA_D8(40),                                                      \
          LORA_D8(48),                                                      \
          LORA_D8(56),                                                      \
          LORA_D8(64),                                                      \
          LORA_D8(72)                                                       \
        : "l"(a), "l"(b), "n"(kTransposedB), "r"(keep), "n"(kTransposedA))

#define LORA_WGMMA_HELD_64(name)                                            \
    asm volatile(                                                           \
        "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n "                         \
        "wgmma.mma_async.sync.aligned.m64n64k16.f32." name "." name         \
        " "                                                                 \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"           \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}," \
        " {%32, %33, %34, %35}, %36, p, 1, 1, %37;\n}\n"                    \
        : LORA_D8(0), LORA_D8(8), LORA_D8(16), LORA_D8(24)                  \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kTransposedB))

#define LORA_WGMMA_HELD_128(name)                                           \
    asm volatile(                                                           \
        "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n "                         \
        "wgmma.mma_async.sync.aligned.m64n128k16.f32." name "." name        \
        " "                                                                 \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"           \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"  \
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"  \
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}," \
        " {%64, %65, %66, %67}, %68, p, 1, 1, %69;\n}\n"                    \
        : LORA_D8(0),                                                       \
          LORA_D8(8),                                                       \
          LORA_D8(16),                                                      \
          LORA_D8(24),                                                      \
          LORA_D8(32),                                                      \
          LORA_D8(40),                                                      \
          LORA_D8(48),                                                      \
          LORA_D8(56)                                                       \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kTransposedB))

#define LORA_WGMMA_HELD_160(name)                                           \
    asm volatile(                                                           \
        "{\n.reg .pred p;\nsetp.ne.b32 p, 1, 0;\n "                         \
        "wgmma.mma_async.sync.aligned.m64n160k16.f32." name "." name        \
        " "                                                                 \
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"           \
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"  \
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"  \
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"  \
        "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79}," \
        " {%80, %81, %82, %83}, %84, p, 1, 1, %85;\n}\n"                    \
        : LORA_D8(0),                                                       \
          LORA_D8(8),                                                       \
          LORA_D8(16),                                                      \
          LORA_D8(24),                                                      \
          LORA_D8(32),                                                      \
          LORA_D8(40),                                                      \
          LORA_D8(48),                                                      \
          LORA_D8(56),                                                      \
          LORA_D8(64),                                                      \
          LORA_D8(72)                                                       \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(kTransposedB))

#define LORA_WGMMA_TYPES(macro)           \
    if constexpr (__is_same(T, __half)) { \
        macro("f16");                     \
    } else {                              \
        macro("bf16");                    \
    }

// d = a b + (keep ? d : 0).
template <typename T, int kColumns, int kTransposedB, int kTransposedA = 0>
__device__ __forceinline__ void wgmma(float* d, uint64_t a, uint64_t b, int keep) {
    static_assert(kColumns == 32 || kColumns == 64 || kColumns == 128 || kColumns == 160);
    if constexpr (kColumns == 32) {
        LORA_WGMMA_TYPES(LORA_WGMMA_32)
    } else if constexpr (kColumns == 64) {
        LORA_WGMMA_TYPES(LORA_WGMMA_64)
    } else if constexpr (kColumns == 128) {
        LORA_WGMMA_TYPES(LORA_WGMMA_128)
    } else {
        LORA_WGMMA_TYPES(LORA_WGMMA_160)
    }
}

// d += a b with a in registers: pairs of columns, as the sums of 16 columns lie.
template <typename T, int kColumns, int kTransposedB>
__device__ __forceinline__ void wgmma_held(float* d, const uint32_t (&a)[4], uint64_t b) {
    static_assert(kColumns == 64 || kColumns == 128 || kColumns == 160);
    if constexpr (kColumns == 64) {
        LORA_WGMMA_TYPES(LORA_WGMMA_HELD_64)
    } else if constexpr (kColumns == 128) {
        LORA_WGMMA_TYPES(LORA_WGMMA_HELD_128)
    } else {
        LORA_WGMMA_TYPES(LORA_WGMMA_HELD_160)
    }
}

__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
}

// Of 384 threads, which start with 168 registers each, one warpgroup copies and two multiply.
__device__ __forceinline__ void registers_for_copying() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;\n");
}
__device__ __forceinline__ void registers_for_multiplying() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;\n");
}
// A barrier among the first kThreads threads of the block.
template <int kThreads>
__device__ __forceinline__ void barrier_among() {
    asm volatile("bar.sync 1, %0;\n" ::"n"(kThreads) : "memory");
}

}  // namespace lora::cuda
