// Arguments of the movement kernels. Those that only copy see units of 2, 4 or 16 bytes.
#pragma once

#include "backend/cuda/kernels/extent.h"

namespace lora::cuda {

// dst = src in another type; accumulate: dst += src.
struct CastArgs {
    Extent extent;
    const void* src = nullptr;
    void* dst = nullptr;
    int dst_type = 0;  // 0 f32, 1 bf16, 2 f16
    int accumulate = 0;
};

// A stretch of every dst row. Rows of src lie src_row units apart and start at src_begin; without
// src the stretch is zero.
struct JoinPart {
    const void* src = nullptr;
    int64_t length = 0;
    int64_t src_row = 0;
    int64_t src_begin = 0;
};
struct JoinArgs {
    JoinPart parts[3];
    void* dst = nullptr;
    int64_t rows = 0;
    int64_t length = 0;  // of a dst row: the parts' sum
};

// dst[image][column][row] = src[image][row][column].
struct TransposeArgs {
    const void* src = nullptr;
    void* dst = nullptr;
    int64_t rows = 0;
    int64_t columns = 0;
    int64_t row_tiles = 0;
    int64_t column_tiles = 0;
};
// dst[n][b][a][:] = src[n][a][b][:], stretches of `length` units.
struct SwapArgs {
    const void* src = nullptr;
    void* dst = nullptr;
    int64_t images = 0;
    int64_t a = 0;
    int64_t b = 0;
    int64_t length = 0;
};
// A thin image [images, out_height, out_width, channels] seen from the pixels of the image that a
// convolution made it of: dst[image, y, x][tap * channels + c] is the pixel that tap (y, x) makes
// of that pixel, zero where it makes none; so are the columns past taps * channels. Elements are 16
// bits, pixels of the result `columns`, a multiple of 8, of them.
struct SpreadArgs {
    const void* src = nullptr;
    void* dst = nullptr;
    int64_t points = 0;  // pixels of all images of the result
    int columns = 0;
    int channels = 0;
    int taps = 0;
    int kernel_width = 1;
    int stride = 1;
    int pad_top = 0;
    int pad_left = 0;
    int height = 0;  // of the result
    int width = 0;
    int out_height = 0;
    int out_width = 0;
};
inline constexpr int kTransposeTile = 32;
inline constexpr int kTransposeRows = 8;  // a block's threads are 32 x 8

// Images as lines of pixels, a pixel `length` units: small is [lines][width], large is
// [2 * lines][2 * width].
struct UpsampleArgs {
    const void* src = nullptr;
    void* dst = nullptr;
    int64_t lines = 0;
    int64_t width = 0;
    int64_t length = 0;  // backward: elements of a pixel
    int aligned = 0;
};

}  // namespace lora::cuda
