// Arguments of the kernels that make values from integers and timesteps.
#pragma once

#include <cstdint>

namespace lora::cuda {

// Rows of the table by id, counted in units of 2, 4 or 16 bytes.
struct EmbeddingArgs {
    const int32_t* ids = nullptr;
    const void* table = nullptr;
    void* dst = nullptr;
    int64_t count = 0;  // ids
    int64_t vocabulary = 0;
    int64_t length = 0;  // of a row
};

struct TimestepEmbeddingArgs {
    const float* timesteps = nullptr;
    void* dst = nullptr;  // [count][2 * half]
    int64_t count = 0;
    int64_t half = 0;
};

// Elements that a thread makes where rows allow it.
inline constexpr int kDequantizedPiece = 16;

// dst = (src - 128) * scale[row]
struct DequantizeArgs {
    const uint8_t* src = nullptr;
    const float* scale = nullptr;
    void* dst = nullptr;
    int64_t count = 0;
    int64_t length = 0;  // of a row
    int aligned = 0;     // rows and operands allow whole pieces
};

}  // namespace lora::cuda
