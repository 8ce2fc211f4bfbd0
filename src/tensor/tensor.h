// Host tensors: row-major, contiguous, owning or viewing. For files, inputs, outputs and tests;
// graphs run on backend buffers instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace lora {

// Bytes of a tensor that somebody else owns (a mapped file, a Tensor).
struct TensorView {
    DType dtype = DType::kF32;
    Shape shape;
    std::span<const std::byte> bytes;
};

class Tensor {
public:
    Tensor() = default;
    // Zero-filled, 64-byte aligned.
    Tensor(DType dtype, Shape shape);
    [[nodiscard]] static Tensor copy_of(const TensorView& view);
    [[nodiscard]] static Tensor from_floats(Shape shape, std::span<const float> values);

    [[nodiscard]] DType dtype() const { return dtype_; }
    [[nodiscard]] const Shape& shape() const { return shape_; }
    [[nodiscard]] int64_t num_elements() const { return shape_.num_elements(); }
    [[nodiscard]] std::span<std::byte> bytes();
    [[nodiscard]] std::span<const std::byte> bytes() const;
    [[nodiscard]] TensorView view() const { return {dtype_, shape_, bytes()}; }
    // Typed elements; throws kInternal when T is not the tensor's type
    // (double, float, int64_t, int32_t, uint8_t; uint16_t for F16 and BF16 bit patterns).
    template <typename T>
    [[nodiscard]] std::span<T> data();
    template <typename T>
    [[nodiscard]] std::span<const T> data() const;
    // Same bytes, other shape with as many elements.
    [[nodiscard]] Tensor reshaped(Shape shape) const;

private:
    DType dtype_ = DType::kF32;
    Shape shape_;
    std::shared_ptr<std::byte[]> storage_;  // shared by reshaped copies; written by one owner only
    size_t offset_ = 0;
};

// Converts elements; floats round to nearest even, floats to integers truncate.
void convert_elements(DType src_dtype,
                      std::span<const std::byte> src,
                      DType dst_dtype,
                      std::span<std::byte> dst);
[[nodiscard]] Tensor to_dtype(const TensorView& view, DType dtype);
// All elements as floats.
[[nodiscard]] std::vector<float> to_floats(const TensorView& view);

// ||a - b|| / ||b|| in double; 0 when both are zero, infinity when only b is.
[[nodiscard]] double relative_error(const TensorView& a, const TensorView& b);

}  // namespace lora
