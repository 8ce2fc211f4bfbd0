// Vectors of the instruction set that a kernel file is compiled for: loads, stores, bf16, exp.
// Included only by kernels/*.cpp, which are compiled once per instruction set into a namespace of
// their own (LORA_CPU_ISA), so nothing here may be seen by other code. No standard library
// templates here: the linker could pick a copy that this machine cannot run.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "backend/cpu/kernels/kernel_table.h"

// g++ 12 finds "uninitialized" values in its own AVX-512 header.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
// Inlined whatever the compiler's mood: a call in an inner loop costs more than the loop.
#define LORA_INLINE inline __attribute__((always_inline))

namespace lora::cpu::LORA_CPU_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t VecI __attribute__((vector_size(kLanes * 4)));
typedef uint32_t VecU __attribute__((vector_size(kLanes * 4)));
typedef uint16_t VecH __attribute__((vector_size(kLanes * 2)));

struct Bf16 {
    uint16_t bits;
};

// Two bf16 values that are neighbours in depth, the first in the lower half: what one
// multiplication of AVX-512 BF16 takes from each side.
struct Pair {
    uint32_t bits;
};

LORA_INLINE Vec splat(float x) { return x - Vec{}; }

LORA_INLINE Vec max(Vec a, Vec b) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vec>(
        _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX2__)
    return reinterpret_cast<Vec>(
        _mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
    return reinterpret_cast<Vec>(
        _mm_max_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
    return a > b ? a : b;
#endif
}

LORA_INLINE Vec min(Vec a, Vec b) { return -max(-a, -b); }

LORA_INLINE Vec load(const float* p) {
    Vec v;
    memcpy(&v, p, sizeof(v));
    return v;
}

LORA_INLINE Vec from_bits(VecU u) { return reinterpret_cast<Vec>(u); }
LORA_INLINE VecU to_bits(Vec v) { return reinterpret_cast<VecU>(v); }

LORA_INLINE Vec load(const Bf16* p) {
    VecH h;
    memcpy(&h, p, sizeof(h));
    return from_bits(__builtin_convertvector(h, VecU) << 16);
}

LORA_INLINE void store(float* p, Vec v) { memcpy(p, &v, sizeof(v)); }

// Rounded to nearest even; the upper half of each lane holds the result.
LORA_INLINE VecU round_to_bf16(Vec v) {
    const VecU u = to_bits(v);
    const VecU rounded = u + 0x7FFFU + ((u >> 16) & 1U);
    const VecU is_nan = reinterpret_cast<VecU>(v != v);
    return (rounded & ~is_nan) | ((u | 0x400000U) & is_nan);
}

LORA_INLINE void store(Bf16* p, Vec v) {
#if defined(__AVX512BF16__)
    const auto h = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
    memcpy(p, &h, sizeof(h));
#else
    const VecH h = __builtin_convertvector(round_to_bf16(v) >> 16, VecH);
    memcpy(p, &h, sizeof(h));
#endif
}

// The first n <= kLanes elements; the other lanes are zero or left alone in memory.
template <typename T>
LORA_INLINE Vec load_part(const T* p, int64_t n) {
    T buffer[kLanes] = {};
    memcpy(static_cast<void*>(buffer), p, static_cast<size_t>(n) * sizeof(T));
    return load(buffer);
}

template <typename T>
LORA_INLINE void store_part(T* p, Vec v, int64_t n) {
    T buffer[kLanes];
    store(buffer, v);
    memcpy(static_cast<void*>(p), buffer, static_cast<size_t>(n) * sizeof(T));
}

// All of v, or its first n elements where that is less.
template <typename T>
LORA_INLINE void store_up_to(T* p, Vec v, int64_t n) {
    if (n >= kLanes) {
        store(p, v);
    } else {
        store_part(p, v, n);
    }
}

LORA_INLINE float load_one(const float* p) { return *p; }
LORA_INLINE float load_one(const Bf16* p) {
    const uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}
LORA_INLINE void store_one(float* p, float f) { *p = f; }
LORA_INLINE void store_one(Bf16* p, float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    p->bits =
        static_cast<uint16_t>(f != f ? (u >> 16) | 0x40U : (u + 0x7FFFU + ((u >> 16) & 1U)) >> 16);
}

LORA_INLINE VecU load(const Pair* p) {
    VecU v;
    memcpy(&v, p, sizeof(v));
    return v;
}
LORA_INLINE void store(Pair* p, VecU v) { memcpy(static_cast<void*>(p), &v, sizeof(v)); }
LORA_INLINE Pair load_one(const Pair* p) { return *p; }
LORA_INLINE void store_one(Pair* p, Pair v) { *p = v; }

LORA_INLINE VecU load_bits(const Bf16* p) {
    VecH h;
    memcpy(&h, p, sizeof(h));
    return __builtin_convertvector(h, VecU);
}
// Lane by lane, the lower halves of two.
LORA_INLINE VecU pairs_of(VecU first, VecU second) { return first | (second << 16); }
// The same from fp32, rounded.
LORA_INLINE VecU pairs_of(Vec first, Vec second) {
#if defined(__AVX512BF16__)
    const auto bits = [](Vec v) {
        const auto h = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(v));
        VecH halves;
        memcpy(&halves, &h, sizeof(halves));
        return __builtin_convertvector(halves, VecU);
    };
    return pairs_of(bits(first), bits(second));
#else
    return pairs_of(round_to_bf16(first) >> 16, round_to_bf16(second) >> 16);
#endif
}

LORA_INLINE float sum_lanes(Vec v) {
    float buffer[kLanes];
    store(buffer, v);
    for (int step = kLanes / 2; step > 0; step /= 2) {
        for (int i = 0; i < step; ++i) buffer[i] += buffer[i + step];
    }
    return buffer[0];
}

inline constexpr float kLog2E = 1.44269504088896341F;

// 2^x. Below -126 the result is 2^-126, that is nothing. Relative error 2e-7.
LORA_INLINE Vec exp2(Vec x) {
    x = max(x, splat(-126.0F));
    const Vec magic = splat(12582912.0F);  // 1.5 * 2^23: its last bits hold the nearest integer
    const Vec shifted = x + magic;
    const Vec r = x - (shifted - magic);  // [-0.5, 0.5]
    Vec p = splat(1.535336188319500e-4F);
    p = p * r + splat(1.339887440266574e-3F);
    p = p * r + splat(9.618437357674640e-3F);
    p = p * r + splat(5.550332471162809e-2F);
    p = p * r + splat(2.402264791363012e-1F);
    p = p * r + splat(6.931472028550421e-1F);
    p = p * r + splat(1.0F);
    const VecU exponent = to_bits(shifted) << 23;
    return from_bits(to_bits(p) + exponent);
}

// e^x for |x| up to 87; beyond, the nearest bound's value. The rounding error of x * log2(e) is
// carried along, so the relative error stays near 2e-7.
LORA_INLINE Vec exp(Vec x) {
    x = min(max(x, splat(-87.0F)), splat(87.0F));
    const Vec magic = splat(12582912.0F);
    const Vec shifted = x * splat(kLog2E) + magic;
    const Vec n = shifted - magic;
    Vec r = x - n * splat(0.693145751953125F);
    r = r - n * splat(1.42860682030941723e-6F);
    Vec p = splat(1.9875691500e-4F);
    p = p * r + splat(1.3981999507e-3F);
    p = p * r + splat(8.3334519073e-3F);
    p = p * r + splat(4.1665795894e-2F);
    p = p * r + splat(1.6666665459e-1F);
    p = p * r + splat(5.0000001201e-1F);
    p = p * r * r + r + splat(1.0F);
    return from_bits(to_bits(p) + (to_bits(shifted) << 23));
}

LORA_INLINE Vec sigmoid(Vec x) { return splat(1.0F) / (splat(1.0F) + exp(-x)); }

// Handbook of Mathematical Functions (Abramowitz, Stegun) 7.1.26: absolute error 1.5e-7.
struct NormalCdf {
    Vec cdf;      // of the standard normal distribution
    Vec density;  // e^(-x^2 / 2), not scaled
};
LORA_INLINE NormalCdf normal_cdf(Vec x) {
    const Vec magnitude = max(x, -x) * splat(0.70710678118654752F);
    const Vec t = splat(1.0F) / (splat(1.0F) + splat(0.3275911F) * magnitude);
    const Vec density = exp(-(magnitude * magnitude));
    Vec p = splat(1.061405429F);
    p = p * t + splat(-1.453152027F);
    p = p * t + splat(1.421413741F);
    p = p * t + splat(-0.284496736F);
    p = p * t + splat(0.254829592F);
    const Vec upper = splat(0.5F) * p * t * density;  // 1 - cdf(|x|)
    return {x >= 0.0F ? splat(1.0F) - upper : upper, density};
}

}  // namespace lora::cpu::LORA_CPU_ISA
