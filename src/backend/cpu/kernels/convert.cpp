// Conversions between fp32 and the element types of values.
#include "backend/cpu/kernels/registry.h"
#include "backend/cpu/kernels/simd.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

template <typename TS, typename TD>
void convert(const TS* src, TD* dst, int64_t n) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(dst + i, load(src + i));
    for (; i < n; ++i) store_one(dst + i, load_one(src + i));
}

template <typename T>
void add_to(const T* src, float* dst, int64_t n) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(dst + i, load(dst + i) + load(src + i));
    for (; i < n; ++i) dst[i] += load_one(src + i);
}

void to_float(Elem type, const void* src, float* dst, int64_t n) {
    if (type == Elem::kBF16) {
        convert(static_cast<const Bf16*>(src), dst, n);
    } else if (src != dst) {
        memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
    }
}

void from_float(Elem type, const float* src, void* dst, int64_t n) {
    if (type == Elem::kBF16) {
        convert(src, static_cast<Bf16*>(dst), n);
    } else if (src != dst) {
        memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
    }
}

void add_to_float(Elem type, const void* src, float* dst, int64_t n) {
    if (type == Elem::kBF16) {
        add_to(static_cast<const Bf16*>(src), dst, n);
    } else {
        add_to(static_cast<const float*>(src), dst, n);
    }
}

}  // namespace

void add_convert_kernels(KernelTable& table) {
    table.lanes = kLanes;
#if defined(__AVX512BF16__)
    table.native_bf16 = true;
#endif
    table.to_float = to_float;
    table.from_float = from_float;
    table.add_to_float = add_to_float;
}

}  // namespace lora::cpu::LORA_CPU_ISA
