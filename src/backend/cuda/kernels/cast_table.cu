// fp32 parameters -> compute type, all of a step in one launch: dst[i] = round(src[i]).
// Moves 4 + 2 bytes an element. Launch: one block of 256 threads a piece.
// Checked by the training graphs of tests/property and by lora_parity train_*.
#include "backend/cuda/kernels/cast_table_args.h"
#include "backend/cuda/kernels/common.cuh"

namespace lora::cuda {

template <typename T>
__device__ void cast_piece(const CastPiece piece) {
    auto* dst = static_cast<T*>(piece.dst);
    const bool aligned = reinterpret_cast<uint64_t>(piece.src) % 16 == 0 &&
                         reinterpret_cast<uint64_t>(piece.dst) % 16 == 0;
    const int64_t vectors = aligned ? piece.count / 4 : 0;
    for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
        const auto x = reinterpret_cast<const Vector<float, 4>*>(piece.src)[i];
        Vector<T, 4> y;
#pragma unroll
        for (int j = 0; j < 4; ++j) y.at[j] = from_float<T>(x.at[j]);
        reinterpret_cast<Vector<T, 4>*>(dst)[i] = y;
    }
    for (int64_t i = vectors * 4 + threadIdx.x; i < piece.count; i += blockDim.x) {
        dst[i] = from_float<T>(piece.src[i]);
    }
}

#define LORA_CAST_TABLE(suffix, type)                                          \
    extern "C" __global__ void cast_table_##suffix(const CastTableArgs args) { \
        cast_piece<type>(args.pieces[blockIdx.x]);                             \
    }
LORA_FOR_ELEMENTS(LORA_CAST_TABLE)

}  // namespace lora::cuda
