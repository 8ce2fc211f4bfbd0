#include "tensor/tensor.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/check.h"
#include "tensor/half.h"

namespace lora {
namespace {

constexpr size_t kAlignBytes = 64;

template <typename T>
bool holds(DType dtype) {
    if constexpr (std::is_same_v<T, double>) return dtype == DType::kF64;
    if constexpr (std::is_same_v<T, float>) return dtype == DType::kF32;
    if constexpr (std::is_same_v<T, uint16_t>) return dtype == DType::kF16 || dtype == DType::kBF16;
    if constexpr (std::is_same_v<T, int64_t>) return dtype == DType::kI64;
    if constexpr (std::is_same_v<T, int32_t>) return dtype == DType::kI32;
    if constexpr (std::is_same_v<T, uint8_t>) return dtype == DType::kU8 || dtype == DType::kBool;
    return false;
}

double load(DType dtype, const std::byte* src) {
    const auto as = [src]<typename T>(T value) {
        std::memcpy(&value, src, sizeof(T));
        return value;
    };
    switch (dtype) {
        case DType::kF64: return as(double{});
        case DType::kF32: return static_cast<double>(as(float{}));
        case DType::kF16: return static_cast<double>(f16_to_float(as(uint16_t{})));
        case DType::kBF16: return static_cast<double>(bf16_to_float(as(uint16_t{})));
        case DType::kI64: return static_cast<double>(as(int64_t{}));
        case DType::kI32: return as(int32_t{});
        case DType::kU8:
        case DType::kBool: return as(uint8_t{});
    }
    return 0;
}

void store(DType dtype, double value, std::byte* dst) {
    const auto put = [dst]<typename T>(T converted) { std::memcpy(dst, &converted, sizeof(T)); };
    switch (dtype) {
        case DType::kF64: put(value); break;
        case DType::kF32: put(static_cast<float>(value)); break;
        case DType::kF16: put(float_to_f16(static_cast<float>(value))); break;
        case DType::kBF16: put(float_to_bf16(static_cast<float>(value))); break;
        case DType::kI64: put(static_cast<int64_t>(value)); break;
        case DType::kI32: put(static_cast<int32_t>(value)); break;
        case DType::kU8: put(static_cast<uint8_t>(value)); break;
        case DType::kBool: put(static_cast<uint8_t>(value != 0 ? 1 : 0)); break;
    }
}

template <typename Src, typename Dst, typename Convert>
void convert_each(const std::byte* src, std::byte* dst, size_t count, const Convert& convert) {
    for (size_t i = 0; i < count; ++i) {
        Src value;
        std::memcpy(&value, src + i * sizeof(Src), sizeof(Src));
        const Dst converted = convert(value);
        std::memcpy(dst + i * sizeof(Dst), &converted, sizeof(Dst));
    }
}

// The conversions that whole models go through, in loops that compilers turn into vector
// instructions. False: another pair of types.
bool convert_weights(
    DType src_dtype, const std::byte* src, DType dst_dtype, std::byte* dst, size_t count) {
    const auto is = [&](DType from, DType to) { return src_dtype == from && dst_dtype == to; };
    if (is(DType::kF16, DType::kF32)) {
        convert_each<uint16_t, float>(src, dst, count, f16_to_float);
    } else if (is(DType::kF16, DType::kBF16)) {
        convert_each<uint16_t, uint16_t>(
            src, dst, count, [](uint16_t bits) { return float_to_bf16(f16_to_float(bits)); });
    } else if (is(DType::kBF16, DType::kF32)) {
        convert_each<uint16_t, float>(src, dst, count, bf16_to_float);
    } else if (is(DType::kF32, DType::kBF16)) {
        convert_each<float, uint16_t>(src, dst, count, float_to_bf16);
    } else {
        return false;
    }
    return true;
}

}  // namespace

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
    const size_t bytes = narrow<size_t>(shape_.num_elements()) * dtype_bytes(dtype);
    storage_ = std::shared_ptr<std::byte[]>(new std::byte[bytes + kAlignBytes]());
    const auto address = reinterpret_cast<uintptr_t>(storage_.get());
    offset_ = (kAlignBytes - address % kAlignBytes) % kAlignBytes;
}

Tensor Tensor::copy_of(const TensorView& view) {
    Tensor result(view.dtype, view.shape);
    LORA_CHECK(result.bytes().size() == view.bytes.size());
    if (!view.bytes.empty())
        std::memcpy(result.bytes().data(), view.bytes.data(), view.bytes.size());
    return result;
}

Tensor Tensor::from_floats(Shape shape, std::span<const float> values) {
    Tensor result(DType::kF32, std::move(shape));
    LORA_CHECK(result.num_elements() == narrow<int64_t>(values.size()));
    if (!values.empty()) std::memcpy(result.bytes().data(), values.data(), values.size_bytes());
    return result;
}

std::span<std::byte> Tensor::bytes() {
    return {storage_.get() + offset_, narrow<size_t>(num_elements()) * dtype_bytes(dtype_)};
}

std::span<const std::byte> Tensor::bytes() const {
    return {storage_.get() + offset_, narrow<size_t>(num_elements()) * dtype_bytes(dtype_)};
}

template <typename T>
std::span<T> Tensor::data() {
    LORA_CHECK(holds<T>(dtype_), "tensor has another element type");
    return {reinterpret_cast<T*>(bytes().data()), narrow<size_t>(num_elements())};
}

template <typename T>
std::span<const T> Tensor::data() const {
    LORA_CHECK(holds<T>(dtype_), "tensor has another element type");
    return {reinterpret_cast<const T*>(bytes().data()), narrow<size_t>(num_elements())};
}

template std::span<double> Tensor::data<double>();
template std::span<float> Tensor::data<float>();
template std::span<uint16_t> Tensor::data<uint16_t>();
template std::span<int64_t> Tensor::data<int64_t>();
template std::span<int32_t> Tensor::data<int32_t>();
template std::span<uint8_t> Tensor::data<uint8_t>();
template std::span<const double> Tensor::data<double>() const;
template std::span<const float> Tensor::data<float>() const;
template std::span<const uint16_t> Tensor::data<uint16_t>() const;
template std::span<const int64_t> Tensor::data<int64_t>() const;
template std::span<const int32_t> Tensor::data<int32_t>() const;
template std::span<const uint8_t> Tensor::data<uint8_t>() const;

Tensor Tensor::reshaped(Shape shape) const {
    LORA_CHECK(shape.num_elements() == num_elements());
    Tensor result = *this;
    result.shape_ = std::move(shape);
    return result;
}

void convert_elements(DType src_dtype,
                      std::span<const std::byte> src,
                      DType dst_dtype,
                      std::span<std::byte> dst) {
    const size_t src_size = dtype_bytes(src_dtype);
    const size_t dst_size = dtype_bytes(dst_dtype);
    const size_t count = src.size() / src_size;
    LORA_CHECK(count * dst_size == dst.size());
    if (src_dtype == dst_dtype) {
        if (!src.empty()) std::memcpy(dst.data(), src.data(), src.size());
        return;
    }
    if (convert_weights(src_dtype, src.data(), dst_dtype, dst.data(), count)) return;
    for (size_t i = 0; i < count; ++i) {
        store(dst_dtype, load(src_dtype, src.data() + i * src_size), dst.data() + i * dst_size);
    }
}

Tensor to_dtype(const TensorView& view, DType dtype) {
    Tensor result(dtype, view.shape);
    convert_elements(view.dtype, view.bytes, dtype, result.bytes());
    return result;
}

std::vector<float> to_floats(const TensorView& view) {
    std::vector<float> values(narrow<size_t>(view.shape.num_elements()));
    convert_elements(
        view.dtype, view.bytes, DType::kF32, std::as_writable_bytes(std::span(values)));
    return values;
}

double relative_error(const TensorView& a, const TensorView& b) {
    LORA_CHECK(a.shape.num_elements() == b.shape.num_elements());
    const size_t count = narrow<size_t>(a.shape.num_elements());
    double difference = 0;
    double norm = 0;
    for (size_t i = 0; i < count; ++i) {
        const double x = load(a.dtype, a.bytes.data() + i * dtype_bytes(a.dtype));
        const double y = load(b.dtype, b.bytes.data() + i * dtype_bytes(b.dtype));
        difference += (x - y) * (x - y);
        norm += y * y;
    }
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    if (difference == 0) return 0;
    return norm == 0 ? std::numeric_limits<double>::infinity() : std::sqrt(difference / norm);
}

}  // namespace lora
