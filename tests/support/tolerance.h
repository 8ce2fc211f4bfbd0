// How far two computations of one thing may be apart: derived from the element type and from how
// many terms a sum has. Used by parity and golden tests; a looser bound is argued where it is used.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "tensor/dtype.h"

namespace lora::support {

struct Tolerance {
    double relative_l2 = 0;   // ||a - b|| / ||b||
    double relative_max = 0;  // max |a - b| / max |b|
};

// Largest relative error of one rounding: 2^-53, 2^-24, 2^-11, 2^-8.
[[nodiscard]] double unit_roundoff(DType dtype);

// Results of `dtype` whose elements are sums of `reduction_length` products, accumulated in fp32
// (fp64 for F64), after `num_roundings` stores to `dtype` on the way.
[[nodiscard]] Tolerance tolerance(DType dtype, int64_t reduction_length, int64_t num_roundings = 1);

// Empty when `actual` is within `bound` of `expected`, otherwise what is wrong.
// `floor_rms` is a root mean square below which `expected` counts as that large: results that are
// zero but for cancellation are judged on the scale of their neighbours.
[[nodiscard]] std::string describe_difference(std::span<const double> actual,
                                              std::span<const double> expected,
                                              const Tolerance& bound,
                                              double floor_rms = 0);
[[nodiscard]] double root_mean_square(std::span<const double> values);

}  // namespace lora::support
