// Packs matrices of weights into the panels that gemm.h takes as B.
#pragma once

#include <memory>

#include "backend/cpu/internal/device.h"
#include "backend/cpu/internal/weight.h"

namespace lora::cpu {

// A matrix [taps][depth][cols] by strides in elements.
struct MatrixView {
    Elem type = Elem::kF32;
    const void* data = nullptr;
    int64_t taps = 1;
    int64_t depth = 0;
    int64_t cols = 0;
    int64_t tap_stride = 0;
    int64_t depth_stride = 0;
    int64_t col_stride = 0;
};

// -> [tap][panel][depth][gemm_cols] in `dst_type`, which is fp32 or the matrix's own type.
void pack_matrix(const Device& device, const MatrixView& matrix, Elem dst_type, void* dst);

}  // namespace lora::cpu
