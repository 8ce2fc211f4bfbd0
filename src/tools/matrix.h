// Dense matrices of the tools and their singular value decompositions. Single precision is stored;
// decompositions compute in double, but for the products of leading_svd.
// Shapes   row-major [rows, cols]; decompositions are thin: u [m, k], s of k values, largest first,
//          v_t [k, n].
// Errors   kNumeric when a decomposition meets a value that is not finite.
// Threads  pure; each call computes in the caller's thread.
// Source   Halko, Martinsson, Tropp, arXiv:0909.4061 (algorithms 4.4 and 5.1) for leading_svd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lora::tools {

struct Matrix {
    int64_t rows = 0;
    int64_t cols = 0;
    std::vector<float> values;

    Matrix() = default;
    Matrix(int64_t num_rows, int64_t num_cols)
        : rows(num_rows), cols(num_cols), values(static_cast<size_t>(num_rows * num_cols)) {}
    [[nodiscard]] float& at(int64_t row, int64_t col) {
        return values[static_cast<size_t>(row * cols + col)];
    }
    [[nodiscard]] float at(int64_t row, int64_t col) const {
        return values[static_cast<size_t>(row * cols + col)];
    }
};

// dst += scale * a b; a [m, k], b [k, n], dst [m, n].
void add_product(const Matrix& a, const Matrix& b, double scale, Matrix& dst);
[[nodiscard]] Matrix product(const Matrix& a, const Matrix& b);
// Sum of squares, in double.
[[nodiscard]] double squared_norm(const Matrix& a);

struct Svd {
    Matrix u;
    std::vector<double> s;
    Matrix v_t;
};

// Of a b, without making the product: QR of both, then the small matrix between them.
[[nodiscard]] Svd svd_of_product(const Matrix& a, const Matrix& b);
// Of a whole matrix, every singular value: for small ones, or when time does not matter.
[[nodiscard]] Svd svd(const Matrix& a);
// The `rank` largest of a large matrix, by random projection and subspace iteration; exact where
// the matrix is small. The answer follows from the matrix alone.
[[nodiscard]] Svd leading_svd(const Matrix& a, int64_t rank);

}  // namespace lora::tools
