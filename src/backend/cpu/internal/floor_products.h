// The products that floor.h times, and their timing through oneDNN (floor_onednn.cpp) or, without
// it, not at all (library_none.cpp).
#pragma once

#include <array>
#include <string>

#include "ir/op.h"
#include "tensor/shape.h"

namespace lora::cpu {

struct MatrixProduct {
    int64_t batch = 1;
    int64_t rows = 0;
    int64_t depth = 0;
    int64_t cols = 0;
    DType dtype = DType::kF32;
    DType dst_dtype = DType::kF32;

    [[nodiscard]] std::string key() const;
};

// A forward convolution x, w -> y, of which `op` is wanted.
struct ConvProduct {
    ir::OpKind op = ir::OpKind::kConv2d;
    DType dtype = DType::kF32;
    Shape x;
    Shape w;
    Shape y;
    int64_t stride = 1;
    std::array<int64_t, 4> pad{};

    [[nodiscard]] std::string key() const;
};

[[nodiscard]] bool can_time_products();
// Median milliseconds of the fastest layout.
[[nodiscard]] double time_product(const MatrixProduct& product);
[[nodiscard]] double time_product(const ConvProduct& product);

}  // namespace lora::cpu
