#include "backend/reference/internal/matmul.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace lora::reference {
namespace {

// Rows and columns of dst that are summed at once: 4 x 4 doubles fill eight SSE2 registers.
constexpr int64_t kTile = 4;

std::vector<double> transposed_copy(const double* src, int64_t rows, int64_t cols) {
    std::vector<double> dst(static_cast<size_t>(rows * cols));
    for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c)
            dst[static_cast<size_t>(c * rows + r)] = src[r * cols + c];
    }
    return dst;
}

// Columns [first, first + kTile) of b as [b.rows, kTile], zeros beyond its edge.
void copy_panel(const Matrix& b, int64_t first, double* panel) {
    const int64_t row_step = b.transposed ? 1 : b.cols;
    const int64_t col_step = b.transposed ? b.rows : 1;
    for (int64_t c = 0; c < kTile; ++c) {
        if (first + c >= b.cols) {
            for (int64_t k = 0; k < b.rows; ++k) panel[k * kTile + c] = 0;
            continue;
        }
        const double* src = b.data + (first + c) * col_step;
        for (int64_t k = 0; k < b.rows; ++k) panel[k * kTile + c] = src[k * row_step];
    }
}

// sums = four rows of a times the panel.
void multiply_tile(const double* const rows[kTile],
                   const double* panel,
                   int64_t depth,
                   double sums[kTile][kTile]) {
    double total[kTile][kTile] = {};
    for (int64_t k = 0; k < depth; ++k) {
        for (int64_t r = 0; r < kTile; ++r) {
            for (int64_t c = 0; c < kTile; ++c) total[r][c] += rows[r][k] * panel[k * kTile + c];
        }
    }
    for (int64_t r = 0; r < kTile; ++r) std::copy_n(total[r], kTile, sums[r]);
}

}  // namespace

void multiply_add(const Matrix& a, const Matrix& b, double* dst) {
    LORA_CHECK(a.cols == b.rows);
    std::vector<double> a_copy;
    const double* a_rows = a.data;
    if (a.transposed) {
        a_copy = transposed_copy(a.data, a.cols, a.rows);
        a_rows = a_copy.data();
    }
    const int64_t depth = a.cols;
    std::vector<double> panel(static_cast<size_t>(depth * kTile));
    double sums[kTile][kTile];
    for (int64_t column = 0; column < b.cols; column += kTile) {
        copy_panel(b, column, panel.data());
        const int64_t num_cols = std::min(kTile, b.cols - column);
        for (int64_t row = 0; row < a.rows; row += kTile) {
            // Past the last row the tile repeats it; those sums are dropped.
            const double* rows[kTile];
            for (int64_t r = 0; r < kTile; ++r) {
                rows[r] = a_rows + std::min(row + r, a.rows - 1) * depth;
            }
            multiply_tile(rows, panel.data(), depth, sums);
            const int64_t num_rows = std::min(kTile, a.rows - row);
            for (int64_t r = 0; r < num_rows; ++r) {
                double* dst_row = dst + (row + r) * b.cols + column;
                for (int64_t c = 0; c < num_cols; ++c) dst_row[c] += sums[r][c];
            }
        }
    }
}

}  // namespace lora::reference
