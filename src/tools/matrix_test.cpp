#include "tools/matrix.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"

namespace lora::tools {
namespace {

Matrix random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
    Matrix out(rows, cols);
    Rng rng(seed);
    for (float& value : out.values) value = rng.normal();
    return out;
}

Matrix rebuilt(const Svd& svd, size_t rank) {
    Matrix out(svd.u.rows, svd.v_t.cols);
    for (size_t r = 0; r < rank; ++r) {
        const auto k = static_cast<int64_t>(r);
        for (int64_t i = 0; i < out.rows; ++i) {
            for (int64_t j = 0; j < out.cols; ++j) {
                out.at(i, j) += static_cast<float>(svd.u.at(i, k) * svd.s[r] * svd.v_t.at(k, j));
            }
        }
    }
    return out;
}

double distance(const Matrix& a, const Matrix& b) {
    double sum = 0;
    for (size_t i = 0; i < a.values.size(); ++i) {
        const double d = static_cast<double>(a.values[i]) - b.values[i];
        sum += d * d;
    }
    return std::sqrt(sum);
}

TEST(Matrix, ProductByHand) {
    Matrix a(2, 3);
    a.values = {1, 2, 3, 4, 5, 6};
    Matrix b(3, 1);
    b.values = {1, 0, -1};
    EXPECT_EQ(product(a, b).values, (std::vector<float>{-2, -2}));
    Matrix sum(2, 1);
    sum.values = {10, 20};
    add_product(a, b, 0.5, sum);
    EXPECT_EQ(sum.values, (std::vector<float>{9, 19}));
}

// What a decomposition leaves out is the root of the squares of what it dropped; wide, tall and
// square, with more ranks than sides too.
TEST(Matrix, TheErrorIsTheDiscardedSingularValues) {
    const int64_t sizes[][3] = {{40, 8, 90}, {90, 8, 40}, {30, 30, 30}, {12, 20, 9}, {64, 1, 5}};
    for (const auto& [m, r, n] : sizes) {
        const Matrix a = random_matrix(m, r, 3);
        const Matrix b = random_matrix(r, n, 4);
        const Matrix whole = product(a, b);
        for (const Svd& svd : {svd_of_product(a, b), svd(whole)}) {
            for (size_t k = 0; k <= svd.s.size(); ++k) {
                double dropped = 0;
                for (size_t i = k; i < svd.s.size(); ++i) dropped += svd.s[i] * svd.s[i];
                const double norm = std::sqrt(squared_norm(whole));
                EXPECT_NEAR(distance(rebuilt(svd, k), whole), std::sqrt(dropped), 2e-6 * norm)
                    << m << ' ' << r << ' ' << n << " rank " << k;
                if (k > 0 && k < svd.s.size()) {
                    EXPECT_GE(svd.s[k - 1], svd.s[k]);
                }
            }
        }
    }
}

// The large path of leading_svd catches as much as the exact one, even where values fall slowly.
TEST(Matrix, TheLeadingValuesOfALargeMatrix) {
    Matrix a = random_matrix(400, 260, 5);
    const Matrix left = random_matrix(400, 12, 6);
    const Matrix right = random_matrix(12, 260, 7);
    add_product(left, right, 2, a);
    const Svd exact = svd(a);
    const Svd quick = leading_svd(a, 32);
    ASSERT_EQ(quick.s.size(), 32u);
    double best = 0;
    double caught = 0;
    for (size_t i = 0; i < 32; ++i) {
        best += exact.s[i] * exact.s[i];
        caught += quick.s[i] * quick.s[i];
        if (i < 12) {
            EXPECT_NEAR(quick.s[i], exact.s[i], 1e-5 * exact.s[i]);
        }
    }
    EXPECT_NEAR(caught, best, 2e-3 * best);
    const double total = squared_norm(a);
    EXPECT_NEAR(
        distance(rebuilt(quick, 32), a), std::sqrt(total - caught), 1e-4 * std::sqrt(total));
}

TEST(Matrix, ValuesThatAreNotFiniteAreRefused) {
    Matrix a = random_matrix(4, 4, 8);
    a.values[5] = NAN;
    EXPECT_THROW(static_cast<void>(svd(a)), Error);
    EXPECT_THROW(static_cast<void>(svd_of_product(a, Matrix(4, 9))), Error);
}

}  // namespace
}  // namespace lora::tools
