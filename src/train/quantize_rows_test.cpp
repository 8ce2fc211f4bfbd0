#include "train/quantize_rows.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace lora::train {
namespace {

TEST(QuantizeRows, IsOffByHalfAScaleAtMost) {
    Tensor source(DType::kF32, Shape{5, 3, 7});
    Rng(7).fill_normal(source.data<float>());
    for (float& x : source.data<float>().subspan(0, 21)) x *= 1000;  // a row of another size
    const QuantizedRows rows = quantize_rows(source.view());
    ASSERT_EQ(rows.bytes.shape(), source.shape());
    ASSERT_EQ(rows.scales.shape(), (Shape{5}));
    for (size_t i = 0; i < 105; ++i) {
        const float scale = rows.scales.data<float>()[i / 21];
        const auto q = static_cast<float>(static_cast<int>(rows.bytes.data<uint8_t>()[i]) - 128);
        EXPECT_NEAR(q * scale, source.data<float>()[i], 0.5001F * scale) << i;
        EXPECT_LE(std::abs(q), 127);
    }
}

TEST(QuantizeRows, ARowOfZerosStaysZero) {
    const QuantizedRows rows = quantize_rows(Tensor(DType::kF16, Shape{2, 4}).view());
    for (const uint8_t byte : rows.bytes.data<uint8_t>()) EXPECT_EQ(byte, 128);
    for (const float scale : rows.scales.data<float>()) EXPECT_EQ(scale, 0);
}

}  // namespace
}  // namespace lora::train
