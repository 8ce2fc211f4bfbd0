// Arguments of the kernel that casts many parameters in one launch.
#pragma once

#include <cstdint>

namespace lora::cuda {

struct CastPiece {  // at most kCastPieceElements elements
    const float* src = nullptr;
    void* dst = nullptr;
    int64_t count = 0;
};
inline constexpr int64_t kCastPieceElements = 8192;

struct CastTableArgs {
    const CastPiece* pieces = nullptr;  // one a block
};

}  // namespace lora::cuda
