// The 256 numbers that one byte of an 8-bit optimizer state stands for, times its block's absmax.
// Not the quantisation itself (update_step_8bit of every backend).
// Source   Dettmers et al., 8-bit Optimizers via Block-wise Quantization, arXiv:2110.02861,
//          dynamic tree quantization (training-semantics 7.2).
// Threads  pure.
#pragma once

#include <array>
#include <vector>

namespace lora::ir {

inline constexpr int kQuantBlock = 256;  // elements that share an absmax

// Ascending, in -1..1 with 0 and 1 (signed) or in 0..1 (unsigned).
[[nodiscard]] std::array<float, 256> dynamic_map(bool is_signed);
// Both, signed first: the operand `maps` of update_step_8bit.
[[nodiscard]] std::vector<float> dynamic_maps();

}  // namespace lora::ir
