// How memory-bound operators make launches: names, grids, and extents of 16-byte pieces.
// Used by movement, elementwise, norm, source, loss and update.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "backend/cuda/internal/device.h"
#include "backend/cuda/kernels/extent.h"

namespace lora::cuda {

inline constexpr uint32_t kPieceThreads = 256;

// `threads` is one block's; the kernel is <name>_<suffix>, or <name> without one.
template <typename Args>
[[nodiscard]] Launch make_launch(
    const char* file, const std::string& kernel, Dim3 grid, uint32_t threads, const Args& args) {
    Launch launch;
    launch.file = file;
    launch.kernel = kernel;
    launch.grid = grid;
    launch.block = {threads, 1, 1};
    launch.set_args(args);
    return launch;
}

[[nodiscard]] inline std::string kernel_name(const char* name, DType dtype) {
    return std::string(name) + "_" + suffix_of(dtype);
}

[[nodiscard]] inline bool all_aligned(std::initializer_list<const void*> operands) {
    return std::all_of(
        operands.begin(), operands.end(), [](const void* p) { return is_aligned(p); });
}

[[nodiscard]] inline int64_t elements_per_piece(DType dtype) {
    return 16 / static_cast<int64_t>(dtype_bytes(dtype));
}

[[nodiscard]] inline Extent extent_of(int64_t rows,
                                      int64_t length,
                                      int64_t per_piece,
                                      std::initializer_list<const void*> operands) {
    Extent extent;
    extent.rows = rows;
    extent.length = length;
    extent.aligned = all_aligned(operands) && (rows == 1 || length % per_piece == 0) ? 1 : 0;
    return extent;
}

// Enough blocks for one thread a piece, but no more than keep the card full: threads then loop.
[[nodiscard]] inline Dim3 piece_grid(const DeviceInfo& device, int64_t pieces) {
    const int64_t blocks = ceil_div(pieces, kPieceThreads);
    const int64_t most = static_cast<int64_t>(device.num_multiprocessors) * 32;
    return {static_cast<uint32_t>(std::clamp<int64_t>(blocks, 1, most)), 1, 1};
}
[[nodiscard]] inline Dim3 piece_grid(const DeviceInfo& device,
                                     const Extent& extent,
                                     int64_t per_piece) {
    return piece_grid(device, extent.rows * ceil_div(extent.length, per_piece));
}

}  // namespace lora::cuda
