// Matrix product in double, the one inner loop of this backend that is written for speed.
#pragma once

#include <cstdint>

namespace lora::reference {

// A matrix as the product sees it. Transposed: it lies in memory as [cols, rows].
struct Matrix {
    const double* data = nullptr;
    int64_t rows = 0;
    int64_t cols = 0;
    bool transposed = false;
};

// dst [a.rows, b.cols] += a b. Each element sums in ascending order of the inner index.
void multiply_add(const Matrix& a, const Matrix& b, double* dst);

}  // namespace lora::reference
