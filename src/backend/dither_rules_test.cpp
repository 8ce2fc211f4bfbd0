#include "backend/dither_rules.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace lora::backend {
namespace {

float rounded(float x, uint32_t index) { return dithered(x, dither_word(index), kSpareBitsBf16); }

TEST(Dither, WhatTheTypeHoldsStaysAsItIs) {
    for (const float x : {0.0F, 1.0F, -0.3125F, 2.0F, std::ldexp(1.0F, -126)}) {
        for (uint32_t i = 0; i < 1000; ++i) {
            ASSERT_EQ(rounded(x, i), x);
            ASSERT_EQ(dithered(x, dither_word(i), kSpareBitsF16), x);
        }
    }
}

TEST(Dither, InfinityAndNanStay) {
    const float infinity = std::numeric_limits<float>::infinity();
    uint32_t all = 0x7FFFFFFFU;  // the NaN that cards make
    float nan = 0;
    std::memcpy(&nan, &all, sizeof(nan));
    for (uint32_t i = 0; i < 100; ++i) {
        EXPECT_EQ(rounded(infinity, i), infinity);
        EXPECT_EQ(rounded(-infinity, i), -infinity);
        EXPECT_TRUE(std::isnan(rounded(nan, i)));
    }
}

// A change of a hundredth of a weight's step moves one element in a hundred by a whole one,
// wherever the row begins and whatever the sign.
TEST(Dither, SmallChangesAreKeptOnAverage) {
    const float step = std::ldexp(1.0F, -7);  // of bf16 between 1 and 2
    for (const float share : {0.01F, 0.25F, 0.5F, 0.93F}) {
        for (const float sign : {1.0F, -1.0F}) {
            const float weight = 1.5F * sign;
            for (const uint32_t first : {0U, 977U, 4000000000U}) {
                double change = 0;
                for (uint32_t i = 0; i < 1000; ++i) {
                    const float x = rounded(weight + share * step, first + i);
                    ASSERT_LE(std::abs(x - weight), step);
                    change += x - weight;
                }
                EXPECT_NEAR(change / 1000 / step, share, 0.002) << share << " from " << first;
            }
        }
    }
}

}  // namespace
}  // namespace lora::backend
