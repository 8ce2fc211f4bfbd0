#include "tensor/tensor.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "tensor/half.h"

namespace lora {
namespace {

TEST(Shape, CountsAndPrints) {
    const Shape shape{2, 3, 4};
    EXPECT_EQ(shape.num_axes(), 3);
    EXPECT_EQ(shape.num_elements(), 24);
    EXPECT_EQ(shape[-1], 4);
    EXPECT_EQ(shape[0], 2);
    EXPECT_EQ(shape.to_string(), "[2, 3, 4]");
    EXPECT_EQ(Shape{}.num_elements(), 1);
    EXPECT_EQ((Shape{3, 0}).num_elements(), 0);
    EXPECT_THROW(static_cast<void>(shape[3]), Error);
    EXPECT_THROW(static_cast<void>(shape[-4]), Error);
}

TEST(DType, NamesGoBothWays) {
    for (const DType dtype : {DType::kF64,
                              DType::kF32,
                              DType::kF16,
                              DType::kBF16,
                              DType::kI64,
                              DType::kI32,
                              DType::kU8,
                              DType::kBool}) {
        EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    }
    EXPECT_EQ(dtype_from_name("F8_E4M3"), std::nullopt);
    EXPECT_EQ(dtype_bytes(DType::kBF16), 2U);
    EXPECT_TRUE(is_float(DType::kBF16));
    EXPECT_FALSE(is_float(DType::kI64));
}

bool is_nan_f16(uint16_t bits) { return (bits & 0x7FFFU) > 0x7C00U; }

TEST(Half, EveryBitPatternSurvivesTheRoundTrip) {
    for (uint32_t i = 0; i <= 0xFFFF; ++i) {
        const auto bits = static_cast<uint16_t>(i);
        const float half = f16_to_float(bits);
        if (is_nan_f16(bits)) {
            ASSERT_TRUE(std::isnan(half));
            ASSERT_TRUE(is_nan_f16(float_to_f16(half)));
        } else {
            ASSERT_EQ(float_to_f16(half), bits);
        }
        const float brain = bf16_to_float(bits);
        if (std::isnan(brain)) {
            ASSERT_TRUE(std::isnan(bf16_to_float(float_to_bf16(brain))));
        } else {
            ASSERT_EQ(float_to_bf16(brain), bits);
        }
    }
}

// Between neighbours a and b the middle goes to the even one, and everything else to the nearer.
template <typename ToFloat, typename FromFloat>
void check_rounding(uint16_t last_finite, ToFloat to_float, FromFloat from_float) {
    for (uint32_t i = 0; i < last_finite; ++i) {
        const auto low = static_cast<uint16_t>(i);
        const auto high = static_cast<uint16_t>(i + 1);
        const double middle =
            (static_cast<double>(to_float(low)) + static_cast<double>(to_float(high))) / 2;
        const auto exact = static_cast<float>(middle);
        ASSERT_EQ(static_cast<double>(exact), middle);
        ASSERT_EQ(from_float(exact), i % 2 == 0 ? low : high) << i;
        ASSERT_EQ(from_float(std::nextafter(exact, -1.0F)), low) << i;
        ASSERT_EQ(from_float(std::nextafter(exact, std::numeric_limits<float>::infinity())), high)
            << i;
        ASSERT_EQ(from_float(-exact), static_cast<uint16_t>((i % 2 == 0 ? low : high) | 0x8000U))
            << i;
    }
}

TEST(Half, RoundsToNearestEven) {
    check_rounding(0x7BFF, f16_to_float, float_to_f16);
    // Below the smallest normal float the middle of two bf16 values is still exact.
    check_rounding(0x7F7F, bf16_to_float, float_to_bf16);
    EXPECT_EQ(float_to_f16(65519.0F), 0x7BFF);
    EXPECT_EQ(float_to_f16(65520.0F), 0x7C00);
    EXPECT_EQ(float_to_f16(-1e30F), 0xFC00);
    EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
}

TEST(Tensor, IsZeroAlignedAndTyped) {
    Tensor tensor(DType::kF32, {3, 5});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes().data()) % 64, 0U);
    for (const float value : tensor.data<float>()) EXPECT_EQ(value, 0.0F);
    EXPECT_THROW(static_cast<void>(tensor.data<double>()), Error);
    EXPECT_THROW(static_cast<void>(tensor.reshaped({4, 4})), Error);
    tensor.data<float>()[7] = 2.5F;
    EXPECT_EQ(tensor.reshaped({15}).data<float>()[7], 2.5F);
    const Tensor copy = Tensor::copy_of(tensor.view());
    tensor.data<float>()[7] = 0;
    EXPECT_EQ(copy.data<float>()[7], 2.5F);
    EXPECT_EQ(Tensor(DType::kI64, {0, 4}).bytes().size(), 0U);
    EXPECT_THROW(static_cast<void>(Tensor::from_floats({2}, std::vector<float>{1})), Error);
}

TEST(Tensor, ConvertsBetweenEveryPairOfTypes) {
    const std::vector<float> values = {0, 1, 2, 100};
    const Tensor source = Tensor::from_floats({4}, values);
    for (const DType from : {DType::kF64,
                             DType::kF32,
                             DType::kF16,
                             DType::kBF16,
                             DType::kI64,
                             DType::kI32,
                             DType::kU8}) {
        const Tensor middle = to_dtype(source.view(), from);
        for (const DType to : {DType::kF64,
                               DType::kF32,
                               DType::kF16,
                               DType::kBF16,
                               DType::kI64,
                               DType::kI32,
                               DType::kU8}) {
            EXPECT_EQ(to_floats(to_dtype(middle.view(), to).view()), values)
                << dtype_name(from) << " to " << dtype_name(to);
        }
    }
    EXPECT_EQ(to_floats(to_dtype(source.view(), DType::kBool).view()),
              (std::vector<float>{0, 1, 1, 1}));
}

TEST(Tensor, ConvertsFromUnalignedBytes) {
    std::vector<std::byte> bytes(13);
    const std::vector<float> values = {1.5F, -2, 3};
    std::memcpy(bytes.data() + 1, values.data(), 12);
    EXPECT_EQ(to_floats({DType::kF32, {3}, std::span(bytes).subspan(1)}), values);
}

TEST(RelativeError, MeasuresAgainstTheSecond) {
    const Tensor a = Tensor::from_floats({2}, std::vector<float>{3, 4});
    const Tensor b = Tensor::from_floats({2}, std::vector<float>{0, 5});
    const Tensor zero = Tensor::from_floats({2}, std::vector<float>{0, 0});
    const Tensor nan = Tensor::from_floats({2}, std::vector<float>{std::nanf(""), 0});
    EXPECT_DOUBLE_EQ(relative_error(a.view(), b.view()), std::sqrt(10.0) / 5);
    EXPECT_EQ(relative_error(zero.view(), zero.view()), 0);
    EXPECT_TRUE(std::isinf(relative_error(a.view(), zero.view())));
    EXPECT_TRUE(std::isinf(relative_error(nan.view(), a.view())));
}

}  // namespace
}  // namespace lora
