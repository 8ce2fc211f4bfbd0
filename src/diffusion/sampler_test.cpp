// Timesteps and noise levels against diffusers' (8 steps), and laws that hold for any model.
#include "diffusion/sampler.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"

namespace lora::diffusion {
namespace {

constexpr PredictionType kEpsilon = PredictionType::kEpsilon;
constexpr std::array<SamplerKind, 4> kAll{
    SamplerKind::kDdim, SamplerKind::kEuler, SamplerKind::kEulerA, SamplerKind::kDpmpp2mKarras};

TEST(Sampler, NamesGoBothWays) {
    for (const SamplerKind kind : kAll) EXPECT_EQ(sampler_from_name(sampler_name(kind)), kind);
    EXPECT_EQ(sampler_from_name("k_euler_a"), SamplerKind::kEulerA);
    EXPECT_FALSE(sampler_from_name("plms").has_value());
}

TEST(Sampler, DdimTimestepsAreLeading) {
    const Sampler sampler(SamplerKind::kDdim, 8, kEpsilon);
    EXPECT_EQ(sampler.timesteps(), (std::vector<double>{876, 751, 626, 501, 376, 251, 126, 1}));
    EXPECT_EQ(sampler.sigmas().back(), NoiseSchedule().sigma(0));
    EXPECT_EQ(sampler.initial_scale(), 1.0);
}

TEST(Sampler, EulerLevels) {
    const Sampler sampler(SamplerKind::kEuler, 8, kEpsilon);
    EXPECT_NEAR(sampler.timesteps()[1], 856.2857055664062, 1e-4);
    EXPECT_NEAR(sampler.sigmas()[0], 14.614646911621094, 1e-4);
    EXPECT_NEAR(sampler.sigmas()[3], 2.0606436729431152, 1e-5);
    EXPECT_EQ(sampler.sigmas().back(), 0.0);
    EXPECT_EQ(sampler.initial_scale(), sampler.sigmas()[0]);
}

TEST(Sampler, KarrasLevels) {
    const Sampler sampler(SamplerKind::kDpmpp2mKarras, 8, kEpsilon);
    EXPECT_EQ(sampler.timesteps(), (std::vector<double>{999, 890, 746, 549, 299, 90, 12, 0}));
    EXPECT_NEAR(sampler.sigmas()[1], 7.902944564819336, 1e-5);
    EXPECT_NEAR(sampler.sigmas()[6], 0.10719938576221466, 1e-6);
}

TEST(Sampler, RefusesStepCountsOutsideTheSchedule) {
    EXPECT_THROW(Sampler(SamplerKind::kEuler, 0, kEpsilon), Error);
    EXPECT_THROW(Sampler(SamplerKind::kEuler, 1001, kEpsilon), Error);
    for (const SamplerKind kind : kAll) {
        EXPECT_EQ(Sampler(kind, 1000, kEpsilon).num_steps(), 1000);
        EXPECT_EQ(Sampler(kind, 1, kEpsilon).num_steps(), 1);
    }
}

// A model that knows the clean value c predicts the noise exactly; every sampler then ends there.
// The v prediction of the same model must lead to the same place.
void expect_finds_constant(SamplerKind kind, PredictionType type) {
    constexpr float kClean = 0.75F;
    constexpr int64_t kSteps = 12;
    Sampler sampler(kind, kSteps, type);
    Rng rng(7);
    std::vector<float> x(16);
    rng.fill_normal(x);
    for (float& value : x) value *= static_cast<float>(sampler.initial_scale());
    std::vector<float> prediction(x.size());
    std::vector<float> fresh(x.size());
    for (int64_t step = 0; step < kSteps; ++step) {
        const double sigma = sampler.sigmas()[static_cast<size_t>(step)];
        const double alpha = 1 / std::sqrt(sigma * sigma + 1);
        for (size_t i = 0; i < x.size(); ++i) {
            const double seen = static_cast<double>(x[i]) * sampler.input_scale(step);
            const double noise = (seen - alpha * kClean) / (alpha * sigma);
            prediction[i] = static_cast<float>(
                type == kEpsilon ? noise : alpha * noise - alpha * sigma * kClean);
        }
        rng.fill_normal(fresh);
        sampler.step(step, prediction, fresh, x);
    }
    const double left = sampler.sigmas().back();  // ddim stops at timestep 0's noise
    for (const float value : x) EXPECT_NEAR(value, kClean, 1e-4 + 4 * left) << sampler_name(kind);
}

TEST(Sampler, ReachesTheCleanValueOfAPerfectModel) {
    for (const SamplerKind kind : kAll) {
        expect_finds_constant(kind, kEpsilon);
        expect_finds_constant(kind, PredictionType::kVPrediction);
    }
}

}  // namespace
}  // namespace lora::diffusion
