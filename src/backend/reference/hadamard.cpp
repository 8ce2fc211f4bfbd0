// Elementwise products of matrices of low rank, and the gradients of their factors.
#include "backend/dither_rules.h"
#include "backend/reference/internal/kernel.h"
#include "backend/reference/internal/matmul.h"

namespace lora::reference::ops {
namespace {

// The product of inputs a [o, r] and a + 1 [r, c].
Doubles product(const NodeRun& run, int a) {
    const int64_t rows = run.input(a).shape[0];
    const int64_t rank = run.input(a).shape[1];
    const int64_t cols = run.input(a + 1).shape[1];
    const Doubles left = run.load(a);
    const Doubles right = run.load(a + 1);
    Doubles result(static_cast<size_t>(rows * cols));
    multiply_add({left.data(), rows, rank}, {right.data(), rank, cols}, result.data());
    return result;
}

// Filters [O, I, kh, kw] lie channels-last, factors' columns in the order of the axes.
struct Order {
    int64_t taps = 1;
    int64_t channels = 1;
    explicit Order(const ir::Value& value) {
        if (value.shape.num_axes() != 4) return;
        taps = value.shape[2] * value.shape[3];
        channels = value.shape[1];
    }
    // Where element i of [o, c] lies.
    [[nodiscard]] size_t place(size_t i) const {
        const int64_t tap = static_cast<int64_t>(i) % taps;
        const int64_t channel = static_cast<int64_t>(i) / taps % channels;
        const int64_t row = static_cast<int64_t>(i) / taps / channels;
        return static_cast<size_t>((row * taps + tap) * channels + channel);
    }
};

int spare_bits(DType dtype) {
    if (dtype == DType::kBF16) return backend::kSpareBitsBf16;
    return dtype == DType::kF16 ? backend::kSpareBitsF16 : 0;
}

}  // namespace

void hadamard(const NodeRun& run) {
    Doubles result = product(run, 0);
    const Doubles second = product(run, 2);
    for (size_t i = 0; i < result.size(); ++i) result[i] *= run.attrs().alpha * second[i];
    if (!run.has(4)) return run.store(0, result);
    const Doubles addend = run.load(4);
    const Order order(run.output(0));
    const int bits = spare_bits(run.output(0).dtype);
    Doubles sum(result.size());
    for (size_t i = 0; i < sum.size(); ++i) {
        double value = addend[i] + result[i];
        if (bits > 0) {
            value = backend::dithered(
                static_cast<float>(value), backend::dither_word(static_cast<uint32_t>(i)), bits);
        }
        sum[order.place(i)] = value;
    }
    run.store(0, sum);
}

void hadamard_backward(const NodeRun& run) {
    const int64_t rows = run.input(0).shape[0];
    const int64_t cols = run.input(2).shape[1];
    const Doubles d = run.load(0);
    const Order order(run.input(0));
    Doubles own = product(run, 1);  // the gradient of the product that the factor belongs to
    for (size_t i = 0; i < own.size(); ++i) own[i] *= run.attrs().alpha * d[order.place(i)];
    const Doubles partner = run.load(3);
    Doubles result = run.zeros_like_output(0);
    if (run.attrs().transpose_weight) {
        const int64_t rank = run.input(3).shape[1];
        multiply_add({partner.data(), rank, rows, true}, {own.data(), rows, cols}, result.data());
    } else {
        const int64_t rank = run.input(3).shape[0];
        multiply_add({own.data(), rows, cols}, {partner.data(), cols, rank, true}, result.data());
    }
    run.store(0, result);
}

}  // namespace lora::reference::ops
