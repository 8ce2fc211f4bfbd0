// Matrix products and convolutions on our own kernels: the portable provider of product.cpp, and
// the thin products of LoRA everywhere.
//   forward form   dst[row] = alpha * sum over taps, channels of src[row moved by tap] B[tap]
//   gradient form  dst[m][n] = alpha * sum over rows of a[row][m] b[row moved by tap][n]
// A linear layer has one tap and one image row; a convolution has kh * kw taps and no im2col: rows
// are gathered while they are packed, a block at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {

struct Tap {
    int64_t y = 0;
    int64_t x = 0;
    int64_t index = 0;  // which matrix of B
};

// Rows of a product are the points of a grid; each reads source pixels and writes one pixel.
struct Grid {
    int64_t images = 1;
    int64_t height = 1;
    int64_t width = 1;
    int64_t src_height = 1;
    int64_t src_width = 1;
    int64_t src_step = 1;  // source pixel = point * src_step + tap
    int64_t dst_height = 1;
    int64_t dst_width = 1;
    int64_t dst_step = 1;  // written pixel = point * dst_step + (dst_y, dst_x)
    int64_t dst_y = 0;
    int64_t dst_x = 0;
    std::vector<Tap> taps{Tap{}};

    [[nodiscard]] int64_t num_rows() const { return images * height * width; }
};

[[nodiscard]] Grid linear_grid(int64_t rows);

struct GemmShape {
    Grid grid;
    int64_t channels = 0;  // depth per tap
    int64_t cols = 0;
};

struct GemmOperands {
    Elem type = Elem::kF32;  // of src, addend and dst
    const void* src = nullptr;
    const void* b = nullptr;  // [tap index][panel][channels][gemm_cols]
    Elem b_type = Elem::kF32;
    const float* bias = nullptr;
    const void* addend = nullptr;  // may be dst
    void* dst = nullptr;
    float alpha = 1;
    std::byte* scratch = nullptr;
};

// Elements of B in packed form.
[[nodiscard]] int64_t packed_size(const KernelTable& kernels,
                                  int64_t taps,
                                  int64_t channels,
                                  int64_t cols);
[[nodiscard]] size_t gemm_scratch(const Device& device, const GemmShape& shape);
void gemm(const Device& device, const GemmShape& shape, const GemmOperands& operands);

struct GradientShape {
    Grid grid;             // rows of a are its points; src side describes b
    int64_t rows = 0;      // m: columns of a
    int64_t cols = 0;      // n: columns of b
    int64_t dst_row = 0;   // elements from dst row to row
    int64_t dst_step = 1;  // from column to column
    int64_t dst_tap = 1;   // from tap to tap
};

struct GradientOperands {
    Elem type = Elem::kF32;
    const void* a = nullptr;
    const void* b = nullptr;
    float* dst = nullptr;
    float alpha = 1;
    bool accumulate = false;
    std::byte* scratch = nullptr;
};

[[nodiscard]] size_t gradient_scratch(const Device& device, const GradientShape& shape);
void gradient(const Device& device, const GradientShape& shape, const GradientOperands& operands);

}  // namespace lora::cpu
