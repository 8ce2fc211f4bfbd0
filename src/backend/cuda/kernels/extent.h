// The shape that memory-bound kernels see: rows of neighbouring elements.
// Shared by host and device code; pieces.cuh walks over it.
#pragma once

#include <cstdint>

namespace lora::cuda {

struct Extent {
    int64_t rows = 0;
    int64_t length = 0;  // elements a row; rows follow one another without gaps
    int aligned = 0;     // every row of every operand starts at a multiple of 16 bytes
};

}  // namespace lora::cuda
