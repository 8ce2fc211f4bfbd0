#include "train/quantize_rows.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lora::train {
namespace {

// The nearest integer, ties to even, of a number between -2^22 and 2^22: there the sum has no room
// for a fraction. A call of nearbyint would take most of the time.
int nearest(float x) {
    constexpr float kNoFraction = 12582912;  // 1.5 * 2^23
    return static_cast<int>((x + kNoFraction) - kNoFraction);
}

}  // namespace

QuantizedRows quantize_rows(const TensorView& source) {
    constexpr float kMost = 127;
    const int64_t rows = source.shape[0];
    QuantizedRows result{Tensor(DType::kU8, source.shape), Tensor(DType::kF32, Shape{rows})};
    const size_t length = rows == 0 ? 0 : static_cast<size_t>(source.shape.num_elements() / rows);
    const size_t row_bytes = length * dtype_bytes(source.dtype);
    std::vector<float> row(length);
    const std::span<uint8_t> bytes = result.bytes.data<uint8_t>();
    const std::span<float> scales = result.scales.data<float>();
    for (size_t r = 0; r < scales.size(); ++r) {
        convert_elements(source.dtype,
                         source.bytes.subspan(r * row_bytes, row_bytes),
                         DType::kF32,
                         std::as_writable_bytes(std::span(row)));
        float largest = 0;
        for (const float x : row) largest = std::max(largest, std::abs(x));
        scales[r] = largest / kMost;
        const float factor = largest > 0 ? kMost / largest : 0;
        for (size_t i = 0; i < length; ++i) {
            bytes[r * length + i] = static_cast<uint8_t>(nearest(row[i] * factor) + 128);
        }
    }
    return result;
}

}  // namespace lora::train
