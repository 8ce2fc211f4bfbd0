// Group norm over channels-last rows and layer norm.
#include "backend/cpu/kernels/registry.h"
#include "backend/cpu/kernels/simd.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

template <typename T>
LORA_INLINE Vec load_upto(const T* p, int64_t n) {
    return n == kLanes ? load(p) : load_part(p, n);
}
template <typename T>
LORA_INLINE void store_upto(T* p, Vec v, int64_t n) {
    if (n == kLanes) {
        store(p, v);
    } else {
        store_part(p, v, n);
    }
}

// Calls fn(channel, count) for the vectors of a row.
template <typename Fn>
LORA_INLINE void each_vector(int64_t size, Fn&& fn) {
    int64_t i = 0;
    for (; i + kLanes <= size; i += kLanes) fn(i, static_cast<int64_t>(kLanes));
    if (i < size) fn(i, size - i);
}

template <typename Fn>
LORA_INLINE void with_type(Elem type, Fn&& fn) {
    if (type == Elem::kBF16) {
        fn.template operator()<Bf16>();
    } else {
        fn.template operator()<float>();
    }
}

// Mean per channel first, squared distances second: a large mean costs no digits.
void group_norm_stats(const GroupNormArgs& g, int64_t begin, int64_t end) {
    const float inverse = 1.0F / static_cast<float>(end - begin);
    with_type(g.type, [&]<typename T>() {
        const T* x = static_cast<const T*>(g.x);
        each_vector(g.channels, [&](int64_t c, int64_t n) {
            Vec sum = splat(0.0F);
            for (int64_t row = begin; row < end; ++row)
                sum += load_upto(x + row * g.channels + c, n);
            const Vec mean = sum * splat(inverse);
            Vec squares = splat(0.0F);
            for (int64_t row = begin; row < end; ++row) {
                const Vec d = load_upto(x + row * g.channels + c, n) - mean;
                squares += d * d;
            }
            store_upto(g.sums + c, mean, n);
            store_upto(g.sums + g.channels + c, squares, n);
        });
    });
}

void group_norm_apply(const GroupNormArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const T* x = static_cast<const T*>(g.x) + row * g.channels;
            T* dst = static_cast<T*>(g.dst) + row * g.channels;
            each_vector(g.channels, [&](int64_t c, int64_t n) {
                Vec y = load_upto(x + c, n) * load_upto(g.scale + c, n) + load_upto(g.shift + c, n);
                if (g.silu) y *= sigmoid(y);
                store_upto(dst + c, y, n);
            });
        }
    });
}

// The gradient in front of the activation.
template <typename T>
LORA_INLINE Vec gradient_before_silu(const GroupNormArgs& g, Vec x, Vec dy, int64_t c, int64_t n) {
    if (!g.silu) return dy;
    const Vec z = x * load_upto(g.scale + c, n) + load_upto(g.shift + c, n);
    const Vec s = sigmoid(z);
    return dy * s * (splat(1.0F) + z * (splat(1.0F) - s));
}

void group_norm_backward_sums(const GroupNormArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        const T* xs = static_cast<const T*>(g.x);
        const T* dys = static_cast<const T*>(g.dy);
        each_vector(g.channels, [&](int64_t c, int64_t n) {
            const Vec mean = load_upto(g.mean + c, n);
            Vec sum = splat(0.0F);
            Vec sum_x = splat(0.0F);
            for (int64_t row = begin; row < end; ++row) {
                const Vec x = load_upto(xs + row * g.channels + c, n);
                const Vec dy = load_upto(dys + row * g.channels + c, n);
                const Vec dz = gradient_before_silu<T>(g, x, dy, c, n);
                sum += dz;
                sum_x += dz * (x - mean);
            }
            store_upto(g.sums + c, sum, n);
            store_upto(g.sums + g.channels + c, sum_x * load_upto(g.rstd + c, n), n);
        });
    });
}

void group_norm_backward_apply(const GroupNormArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const int64_t at = row * g.channels;
            const T* xs = static_cast<const T*>(g.x) + at;
            const T* dys = static_cast<const T*>(g.dy) + at;
            const T* addend = g.addend == nullptr ? nullptr : static_cast<const T*>(g.addend) + at;
            T* dst = static_cast<T*>(g.dst) + at;
            each_vector(g.channels, [&](int64_t c, int64_t n) {
                const Vec x = load_upto(xs + c, n);
                const Vec dz = gradient_before_silu<T>(g, x, load_upto(dys + c, n), c, n);
                Vec dx = dz * load_upto(g.c_dz + c, n) + load_upto(g.c_0 + c, n) +
                         (x - load_upto(g.mean + c, n)) * load_upto(g.c_x + c, n);
                if (addend != nullptr) dx += load_upto(addend + c, n);
                store_upto(dst + c, dx, n);
            });
        }
    });
}

LORA_INLINE float reciprocal_root(float x) { return 1.0F / __builtin_sqrtf(x); }

void layer_norm(const LayerNormArgs& g, int64_t begin, int64_t end) {
    const float inverse = 1.0F / static_cast<float>(g.size);
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const T* x = static_cast<const T*>(g.x) + row * g.size;
            T* dst = static_cast<T*>(g.dst) + row * g.size;
            Vec sum = splat(0.0F);
            each_vector(g.size, [&](int64_t i, int64_t n) { sum += load_upto(x + i, n); });
            const float mean = sum_lanes(sum) * inverse;
            Vec squares = splat(0.0F);
            each_vector(g.size, [&](int64_t i, int64_t n) {
                // Lanes beyond the row must not count.
                const Vec d = load_upto(x + i, n) - splat(mean);
                if (n == kLanes) {
                    squares += d * d;
                } else {
                    float part[kLanes];
                    store(part, d * d);
                    squares += load_part(part, n);
                }
            });
            const float rstd = reciprocal_root(sum_lanes(squares) * inverse + g.eps);
            g.stats[2 * row] = mean;
            g.stats[2 * row + 1] = rstd;
            each_vector(g.size, [&](int64_t i, int64_t n) {
                const Vec normal = (load_upto(x + i, n) - splat(mean)) * splat(rstd);
                store_upto(
                    dst + i, normal * load_upto(g.gamma + i, n) + load_upto(g.beta + i, n), n);
            });
        }
    });
}

void layer_norm_backward(const LayerNormArgs& g, int64_t begin, int64_t end) {
    const float inverse = 1.0F / static_cast<float>(g.size);
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const T* x = static_cast<const T*>(g.x) + row * g.size;
            const T* dy = static_cast<const T*>(g.dy) + row * g.size;
            T* dst = static_cast<T*>(g.dst) + row * g.size;
            const T* addend =
                g.addend == nullptr ? nullptr : static_cast<const T*>(g.addend) + row * g.size;
            const float mean = g.stats[2 * row];
            const float rstd = g.stats[2 * row + 1];
            Vec sum = splat(0.0F);
            Vec sum_x = splat(0.0F);
            each_vector(g.size, [&](int64_t i, int64_t n) {
                const Vec d = load_upto(dy + i, n) * load_upto(g.gamma + i, n);  // 0 beyond the row
                sum += d;
                sum_x += d * (load_upto(x + i, n) - splat(mean));
            });
            const float mean_d = sum_lanes(sum) * inverse;
            const float mean_dx = sum_lanes(sum_x) * rstd * inverse;
            each_vector(g.size, [&](int64_t i, int64_t n) {
                const Vec d = load_upto(dy + i, n) * load_upto(g.gamma + i, n);
                const Vec normal = (load_upto(x + i, n) - splat(mean)) * splat(rstd);
                Vec dx = splat(rstd) * (d - splat(mean_d) - normal * splat(mean_dx));
                if (addend != nullptr) dx += load_upto(addend + i, n);
                store_upto(dst + i, dx, n);
            });
        }
    });
}

}  // namespace

void add_norm_kernels(KernelTable& table) {
    table.group_norm_stats = group_norm_stats;
    table.group_norm_apply = group_norm_apply;
    table.group_norm_backward_sums = group_norm_backward_sums;
    table.group_norm_backward_apply = group_norm_backward_apply;
    table.layer_norm = layer_norm;
    table.layer_norm_backward = layer_norm_backward;
}

}  // namespace lora::cpu::LORA_CPU_ISA
