// Elementwise products of matrices of low rank, and the gradients of their factors.
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

}  // namespace

void hadamard(const NodeRun& run) {
    Doubles result = product(run, 0);
    const Doubles second = product(run, 2);
    for (size_t i = 0; i < result.size(); ++i) result[i] *= run.attrs().alpha * second[i];
    run.store(0, result);
}

void hadamard_backward(const NodeRun& run) {
    const int64_t rows = run.input(0).shape[0];
    const int64_t cols = run.input(0).shape[1];
    const Doubles d = run.load(0);
    Doubles own = product(run, 1);  // the gradient of the product that the factor belongs to
    for (size_t i = 0; i < own.size(); ++i) own[i] *= run.attrs().alpha * d[i];
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
