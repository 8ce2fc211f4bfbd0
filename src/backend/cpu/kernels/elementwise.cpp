// Activations, sums and the optimizer's update. Memory-bound; each element is read and written
// once.
#include "backend/cpu/kernels/registry.h"
#include "backend/cpu/kernels/simd.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

// dst[i] = fn(a[i]) for [begin, end).
template <typename T, typename Fn>
LORA_INLINE void map1(const T* a, T* dst, int64_t begin, int64_t end, Fn&& fn) {
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(dst + i, fn(load(a + i)));
    if (i < end) store_part(dst + i, fn(load_part(a + i, end - i)), end - i);
}

template <typename T, typename Fn>
LORA_INLINE void map2(const T* a, const T* b, T* dst, int64_t begin, int64_t end, Fn&& fn) {
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) store(dst + i, fn(load(a + i), load(b + i)));
    if (i < end) {
        const int64_t n = end - i;
        store_part(dst + i, fn(load_part(a + i, n), load_part(b + i, n)), n);
    }
}

// Runs fn with the pointer type of the arguments' element type.
template <typename Fn>
LORA_INLINE void with_type(Elem type, Fn&& fn) {
    if (type == Elem::kBF16) {
        fn.template operator()<Bf16>();
    } else {
        fn.template operator()<float>();
    }
}

LORA_INLINE Vec silu(Vec x) { return x * sigmoid(x); }
LORA_INLINE Vec gelu(Vec x) { return x * normal_cdf(x).cdf; }
LORA_INLINE Vec quick_gelu(Vec x) { return x * sigmoid(splat(1.702F) * x); }

LORA_INLINE Vec silu_slope(Vec x) {
    const Vec s = sigmoid(x);
    return s * (splat(1.0F) + x * (splat(1.0F) - s));
}
LORA_INLINE Vec gelu_slope(Vec x) {
    const NormalCdf n = normal_cdf(x);
    return n.cdf + x * n.density * splat(0.39894228040143268F);  // 1 / sqrt(2 pi)
}
LORA_INLINE Vec quick_gelu_slope(Vec x) {
    const Vec scaled = splat(1.702F) * x;
    const Vec s = sigmoid(scaled);
    return s * (splat(1.0F) + scaled * (splat(1.0F) - s));
}

void activation(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        const T* a = static_cast<const T*>(g.a);
        T* dst = static_cast<T*>(g.dst);
        switch (g.curve) {
            case Curve::kSilu: return map1(a, dst, begin, end, [](Vec x) { return silu(x); });
            case Curve::kGelu: return map1(a, dst, begin, end, [](Vec x) { return gelu(x); });
            case Curve::kQuickGelu:
                return map1(a, dst, begin, end, [](Vec x) { return quick_gelu(x); });
            case Curve::kNone: {
                const Vec alpha = splat(g.alpha);
                return map1(a, dst, begin, end, [=](Vec x) { return alpha * x; });
            }
        }
    });
}

// a = dy, b = x.
void activation_backward(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        const T* dy = static_cast<const T*>(g.a);
        const T* x = static_cast<const T*>(g.b);
        T* dst = static_cast<T*>(g.dst);
        const auto run = [&](auto slope) {
            map2(dy, x, dst, begin, end, [&](Vec d, Vec v) { return d * slope(v); });
        };
        switch (g.curve) {
            case Curve::kSilu: return run([](Vec v) { return silu_slope(v); });
            case Curve::kGelu: return run([](Vec v) { return gelu_slope(v); });
            case Curve::kQuickGelu: return run([](Vec v) { return quick_gelu_slope(v); });
            case Curve::kNone: return run([](Vec) { return splat(1.0F); });
        }
    });
}

void geglu(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const T* x = static_cast<const T*>(g.a) + row * 2 * g.inner;
            T* dst = static_cast<T*>(g.dst) + row * g.inner;
            map2(x, x + g.inner, dst, 0, g.inner, [](Vec u, Vec gate) { return u * gelu(gate); });
        }
    });
}

// a = dy, b = x.
void geglu_backward(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const T* dy = static_cast<const T*>(g.a) + row * g.inner;
            const T* x = static_cast<const T*>(g.b) + row * 2 * g.inner;
            T* dst = static_cast<T*>(g.dst) + row * 2 * g.inner;
            for (int64_t i = 0; i < g.inner; i += kLanes) {
                const int64_t n = g.inner - i < kLanes ? g.inner - i : kLanes;
                const bool whole = n == kLanes;
                const Vec d = whole ? load(dy + i) : load_part(dy + i, n);
                const Vec u = whole ? load(x + i) : load_part(x + i, n);
                const Vec gate = whole ? load(x + g.inner + i) : load_part(x + g.inner + i, n);
                const NormalCdf c = normal_cdf(gate);
                const Vec du = d * gate * c.cdf;
                const Vec d_gate = d * u * (c.cdf + gate * c.density * splat(0.39894228040143268F));
                if (whole) {
                    store(dst + i, du);
                    store(dst + g.inner + i, d_gate);
                } else {
                    store_part(dst + i, du, n);
                    store_part(dst + g.inner + i, d_gate, n);
                }
            }
        }
    });
}

struct Sum {
    Vec operator()(Vec a, Vec b) const { return a + b; }
};
struct Product {
    Vec operator()(Vec a, Vec b) const { return a * b; }
};

template <typename Op>
void pairs(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        map2(static_cast<const T*>(g.a),
             static_cast<const T*>(g.b),
             static_cast<T*>(g.dst),
             begin,
             end,
             Op());
    });
}

// Rows of `inner` elements, the same b for each.
template <typename Op>
void pairs_by_row(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            map2(static_cast<const T*>(g.a) + row * g.inner,
                 static_cast<const T*>(g.b),
                 static_cast<T*>(g.dst) + row * g.inner,
                 0,
                 g.inner,
                 Op());
        }
    });
}

void mix(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    const Vec alpha = splat(g.alpha);
    const Vec beta = splat(g.beta);
    with_type(g.type, [&]<typename T>() {
        map2(static_cast<const T*>(g.a),
             static_cast<const T*>(g.b),
             static_cast<T*>(g.dst),
             begin,
             end,
             [=](Vec a, Vec b) { return alpha * a + beta * b; });
    });
}

void sum_rows(const ElementwiseArgs& g, int64_t begin, int64_t end) {
    float* dst = static_cast<float*>(g.dst);
    memset(dst, 0, static_cast<size_t>(g.inner) * sizeof(float));
    with_type(g.type, [&]<typename T>() {
        for (int64_t row = begin; row < end; ++row) {
            const T* a = static_cast<const T*>(g.a) + row * g.inner;
            int64_t i = 0;
            for (; i + kLanes <= g.inner; i += kLanes) store(dst + i, load(dst + i) + load(a + i));
            for (; i < g.inner; ++i) dst[i] += load_one(a + i);
        }
    });
}

// fp64 sums of fp32 squares of at most kRun elements a lane.
template <typename T, typename Fn>
LORA_INLINE double sum_of(int64_t n, Fn&& value, const T*) {
    constexpr int64_t kRun = 64 * kLanes;
    double total = 0;
    for (int64_t start = 0; start < n; start += kRun) {
        const int64_t end = start + kRun < n ? start + kRun : n;
        Vec sum = splat(0.0F);
        int64_t i = start;
        for (; i + kLanes <= end; i += kLanes) {
            const Vec v = value(i, static_cast<int64_t>(kLanes));
            sum += v * v;
        }
        if (i < end) {
            const Vec v = value(i, end - i);
            sum += v * v;
        }
        total += static_cast<double>(sum_lanes(sum));
    }
    return total;
}

template <typename T>
LORA_INLINE Vec load_upto(const T* p, int64_t n) {
    return n == kLanes ? load(p) : load_part(p, n);
}

double sum_squares(Elem type, const void* x, int64_t n) {
    double total = 0;
    with_type(type, [&]<typename T>() {
        const T* p = static_cast<const T*>(x);
        total = sum_of(
            n, [=](int64_t i, int64_t count) { return load_upto(p + i, count); }, p);
    });
    return total;
}

double sum_squared_differences(Elem type, const void* a, const void* b, int64_t n) {
    double total = 0;
    with_type(type, [&]<typename T>() {
        const T* p = static_cast<const T*>(a);
        const T* q = static_cast<const T*>(b);
        total = sum_of(
            n,
            [=](int64_t i, int64_t count) {
                return load_upto(p + i, count) - load_upto(q + i, count);
            },
            p);
    });
    return total;
}

LORA_INLINE Vec square_root(Vec v) {
#if defined(__AVX512F__)
    return reinterpret_cast<Vec>(_mm512_sqrt_ps(reinterpret_cast<__m512>(v)));
#elif defined(__AVX2__)
    return reinterpret_cast<Vec>(_mm256_sqrt_ps(reinterpret_cast<__m256>(v)));
#else
    return reinterpret_cast<Vec>(_mm_sqrt_ps(reinterpret_cast<__m128>(v)));
#endif
}

}  // namespace

void add_elementwise_kernels(KernelTable& table) {
    table.activation = activation;
    table.activation_backward = activation_backward;
    table.geglu = geglu;
    table.geglu_backward = geglu_backward;
    table.add = pairs<Sum>;
    table.multiply = pairs<Product>;
    table.add_rows = pairs_by_row<Sum>;
    table.multiply_rows = pairs_by_row<Product>;
    table.mix = mix;
    table.sum_rows = sum_rows;
    table.sum_squares = sum_squares;
    table.sum_squared_differences = sum_squared_differences;
}

}  // namespace lora::cpu::LORA_CPU_ISA
