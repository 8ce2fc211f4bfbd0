// Arguments of the elementwise kernels.
#pragma once

#include "backend/cuda/kernels/extent.h"
#include "backend/draw_rules.h"

namespace lora::cuda {

// dst = alpha * f(x), or with dy: dy * f'(x).
struct ActivationArgs {
    Extent extent;
    const void* dy = nullptr;
    const void* x = nullptr;
    void* dst = nullptr;
    int function = 0;  // ActivationKind
    float alpha = 1;
};

// Rows of length F; x and dx have rows of 2F: value, then gate.
struct GegluArgs {
    Extent extent;
    const void* dy = nullptr;  // backward only
    const void* x = nullptr;
    void* dst = nullptr;
};

// dst = a + b, where rows_per_b rows of a share one row of b (add), or one element (add_plane);
// multiply: a * b.
struct AddArgs {
    Extent extent;
    const void* a = nullptr;
    const void* b = nullptr;
    void* dst = nullptr;
    int64_t rows_per_b = 1;
};

struct MixRowsArgs {
    Extent extent;
    const void* x = nullptr;
    const void* y = nullptr;
    const float* a = nullptr;  // one a row
    const float* b = nullptr;
    void* dst = nullptr;
};

// dst = alpha * x where the draw keeps it.
struct DropoutArgs {
    Extent extent;  // one row
    backend::DropoutDraws draws;
    const void* x = nullptr;
    const int32_t* key = nullptr;
    void* dst = nullptr;
    float alpha = 1;
};

// Channels-last [images][pixels][channels] -> [images][channels], in slabs of pixels.
struct SumSpatialArgs {
    const void* x = nullptr;
    float* partial = nullptr;  // [images][slabs][channels]
    void* dst = nullptr;
    int64_t images = 0;
    int64_t pixels = 0;
    int64_t channels = 0;
    int64_t slabs = 0;
    int64_t slab_pixels = 0;
    int aligned = 0;
};

inline constexpr int kSumColumns = 32;  // pieces of channels that a block covers
inline constexpr int kSumRows = 8;      // pixels that it reads at a time

}  // namespace lora::cuda
