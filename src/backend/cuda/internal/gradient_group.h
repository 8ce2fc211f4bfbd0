// Gradients of linear layers in groups: one launch for many (kernels/wgrad_group.cu). A node alone
// gives a group of one; neighbours are then put together, and only then it is decided how the sums
// are split, so that the whole group fills the card.
// Used by product.cpp (single_gradient), hadamard.cpp and executable.cpp (the rest).
#pragma once

#include <span>

#include "backend/cuda/internal/products.h"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {

// Such a gradient is not tuned and needs no scratch of its own.
[[nodiscard]] bool is_grouped_gradient(const DeviceInfo& d, const ProductShape& shape);
// The gradient of a filter with few outputs, as a LoRA's: its patches are not gathered from x,
// which is wide, but the taps of dy spread over x's pixels by a launch before; then it is a plain
// one.
[[nodiscard]] bool is_thin_gradient(const DeviceInfo& d, const ProductShape& shape);
[[nodiscard]] bool is_gradient_group(const Launch& launch);

[[nodiscard]] Launch single_gradient(const WeightGradientArgs& args, DType dtype);

// Adds what `other` computes to `launch`; false when it cannot: another type, or too many.
[[nodiscard]] bool join_gradients(Launch& launch, const Launch& other);

// Bytes at `workspace` that split sums of a group need, the arrival counters first.
[[nodiscard]] size_t gradient_workspace_bytes(const DeviceInfo& d);
[[nodiscard]] size_t gradient_counter_bytes(const DeviceInfo& d);
// Gives the split sums of a group their counters and partial sums there, one after the other.
class SplitRoom {
public:
    SplitRoom(const DeviceInfo& d, DevicePtr workspace);
    // For `tiles` tiles of so many bytes each, in split.count parts; nothing where that is one.
    void take(int64_t tiles, size_t tile_bytes, SplitSum& split);

private:
    DevicePtr arrivals_;
    DevicePtr partial_;
    DevicePtr end_;
};
// Splits the sums and sets the grid: the launch is complete.
void finish_gradients(const DeviceInfo& d, DevicePtr workspace, Launch& launch);

// The same for the gradients of LoHa's factors (hadamard.cpp, kernels/hadamard.cu).
[[nodiscard]] bool is_factor_group(const Launch& launch);
[[nodiscard]] bool join_factors(Launch& launch, const Launch& other);
void finish_factors(const DeviceInfo& d, DevicePtr workspace, Launch& launch);

}  // namespace lora::cuda
