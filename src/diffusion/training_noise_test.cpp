#include "diffusion/training_noise.h"

#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "diffusion/timestep_sampler.h"

namespace lora::diffusion {
namespace {

std::vector<float> noise(const NoiseKey& key,
                         const TrainingNoiseOptions& options,
                         const std::array<int64_t, 4>& shape) {
    std::vector<float> values(static_cast<size_t>(shape[0] * shape[1] * shape[2] * shape[3]));
    const std::vector<float> latents(values.size(), -0.5F);
    fill_training_noise(key, options, shape, latents, values);
    return values;
}

double deviation(const std::vector<float>& values) {
    double mean = 0;
    for (const float value : values) mean += value;
    mean /= static_cast<double>(values.size());
    double sum = 0;
    for (const float value : values) sum += (value - mean) * (value - mean);
    return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

TEST(TrainingNoise, SampleDoesNotDependOnTheBatch) {
    const std::vector<float> one = noise({7, 3}, {}, {1, 4, 8, 8});
    const std::vector<float> two = noise({7, 3}, {}, {2, 4, 8, 8});
    EXPECT_TRUE(std::equal(one.begin(), one.end(), two.begin()));
    EXPECT_NE(one, noise({7, 4}, {}, {1, 4, 8, 8}));
    EXPECT_NE(one, noise({8, 3}, {}, {1, 4, 8, 8}));
}

TEST(TrainingNoise, IsStandardNormal) {
    EXPECT_NEAR(deviation(noise({1, 1}, {}, {2, 4, 64, 64})), 1.0, 0.02);
}

TEST(TrainingNoise, OffsetShiftsChannels) {
    const std::vector<float> plain = noise({1, 1}, {}, {1, 4, 4, 4});
    const std::vector<float> shifted = noise({1, 1}, {.noise_offset = 0.5}, {1, 4, 4, 4});
    const float first = shifted[0] - plain[0];
    EXPECT_NE(first, 0.0F);
    for (size_t i = 0; i < 16; ++i) EXPECT_NEAR(shifted[i] - plain[i], first, 1e-6);
    EXPECT_GT(std::abs(shifted[16] - plain[16] - first), 1e-3);
}

// M37: noise_offset times one standard normal number a channel, as sd-scripts adds it.
TEST(TrainingNoise, OffsetHasItsDeviation) {
    const std::array<int64_t, 4> shape{1024, 4, 1, 1};
    std::vector<float> shift = noise({1, 1}, {.noise_offset = 0.1}, shape);
    const std::vector<float> plain = noise({1, 1}, {}, shape);
    for (size_t i = 0; i < shift.size(); ++i) shift[i] -= plain[i];
    EXPECT_NEAR(deviation(shift), 0.1, 0.004);
    double mean = 0;
    for (const float value : shift) mean += value;
    EXPECT_NEAR(mean / static_cast<double>(shift.size()), 0, 0.008);
}

TEST(TrainingNoise, StrengthIsDrawnOnceABatch) {
    const std::array<int64_t, 4> shape{2, 4, 2, 2};
    const std::vector<float> plain = noise({1, 1}, {}, shape);
    const std::vector<float> whole = noise({1, 1}, {.noise_offset = 0.5}, shape);
    const std::vector<float> part =
        noise({1, 1}, {.noise_offset = 0.5, .noise_offset_random_strength = true}, shape);
    const float ratio = (part[0] - plain[0]) / (whole[0] - plain[0]);
    EXPECT_GT(ratio, 0.0F);
    EXPECT_LT(ratio, 1.0F);
    for (size_t i = 0; i < plain.size(); ++i) {
        EXPECT_NEAR(part[i] - plain[i], ratio * (whole[i] - plain[i]), 1e-5);
    }
}

// The latents of this test are -0.5 everywhere.
TEST(TrainingNoise, AdaptiveScaleAddsTheLevelOfTheLatent) {
    const std::array<int64_t, 4> shape{1, 4, 2, 2};
    EXPECT_EQ(noise({1, 1}, {.noise_offset = 0.2, .adaptive_noise_scale = 0.4}, shape),
              noise({1, 1}, {.noise_offset = 0.4}, shape));
    EXPECT_EQ(noise({1, 1}, {.noise_offset = 0.2, .adaptive_noise_scale = -1}, shape),
              noise({1, 1}, {}, shape));
}

TEST(TrainingNoise, PerturbationIsItsOwnNoise) {
    const std::array<int64_t, 4> shape{1, 4, 32, 32};
    const std::vector<float> plain = noise({1, 1}, {}, shape);
    std::vector<float> moved(plain.size());
    fill_perturbed_noise({1, 1}, {.ip_noise_gamma = 0.1}, shape, plain, moved);
    double product = 0;
    for (size_t i = 0; i < plain.size(); ++i) {
        moved[i] -= plain[i];
        product += static_cast<double>(moved[i]) * static_cast<double>(plain[i]);
    }
    EXPECT_NEAR(deviation(moved), 0.1, 0.004);
    EXPECT_LT(std::abs(product) / static_cast<double>(plain.size()), 0.01);
}

TEST(TrainingNoise, MultiresHasUnitDeviationAndLowFrequencies) {
    const std::array<int64_t, 4> shape{2, 4, 32, 24};
    const std::vector<float> values =
        noise({1, 1}, {.multires_iterations = 6, .multires_discount = 0.8}, shape);
    EXPECT_NEAR(deviation(values), 1.0, 1e-5);
    double neighbours = 0;  // white noise has none
    for (size_t i = 0; i + 1 < 24; ++i) {
        for (size_t row = 0; row < 32; ++row)
            neighbours += values[row * 24 + i] * values[row * 24 + i + 1];
    }
    EXPECT_GT(neighbours / (32 * 23), 0.1);
}

TEST(TimestepSampler, StaysInRangeAndReachesBothEnds) {
    std::set<int64_t> seen;
    for (uint64_t step = 0; step < 4000; ++step) {
        Rng rng(1, RngStream::kTimestep, step, 0);
        seen.insert(draw_timestep(rng, {.min = 10, .max = 20}));
    }
    EXPECT_EQ(*seen.begin(), 10);
    EXPECT_EQ(*seen.rbegin(), 19);
    EXPECT_EQ(seen.size(), 10U);
    Rng rng(1);
    EXPECT_EQ(draw_timestep(rng, {.min = 5, .max = 5}), 5);
}

}  // namespace
}  // namespace lora::diffusion
