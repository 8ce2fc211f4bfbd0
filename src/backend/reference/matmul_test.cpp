#include "backend/reference/internal/matmul.h"

#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace lora::reference {
namespace {

std::vector<double> random_values(Rng& rng, int64_t count) {
    std::vector<double> values(static_cast<size_t>(count));
    for (double& value : values) value = static_cast<double>(rng.normal());
    return values;
}

class MatmulTest : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {};

TEST_P(MatmulTest, AddsTheSumOfProductsForEveryTransposition) {
    const auto [rows, depth, cols] = GetParam();
    for (const bool transpose_a : {false, true}) {
        for (const bool transpose_b : {false, true}) {
            Rng rng(7);
            const std::vector<double> a = random_values(rng, rows * depth);
            const std::vector<double> b = random_values(rng, depth * cols);
            std::vector<double> dst = random_values(rng, rows * cols);
            std::vector<double> expected = dst;
            for (int64_t r = 0; r < rows; ++r) {
                for (int64_t c = 0; c < cols; ++c) {
                    for (int64_t k = 0; k < depth; ++k) {
                        const int64_t in_a = transpose_a ? k * rows + r : r * depth + k;
                        const int64_t in_b = transpose_b ? c * depth + k : k * cols + c;
                        expected[static_cast<size_t>(r * cols + c)] +=
                            a[static_cast<size_t>(in_a)] * b[static_cast<size_t>(in_b)];
                    }
                }
            }
            multiply_add({a.data(), rows, depth, transpose_a},
                         {b.data(), depth, cols, transpose_b},
                         dst.data());
            for (size_t i = 0; i < dst.size(); ++i) EXPECT_NEAR(dst[i], expected[i], 1e-12);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(OddAndSmallSizes,
                         MatmulTest,
                         testing::Values(std::tuple{1, 1, 1},
                                         std::tuple{3, 5, 7},
                                         std::tuple{4, 4, 4},
                                         std::tuple{9, 1, 2},
                                         std::tuple{1, 17, 6}));

}  // namespace
}  // namespace lora::reference
