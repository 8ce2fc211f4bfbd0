#include "train/expected_loss.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "diffusion/noise_schedule.h"
#include "train/probe.h"
#include "train/turn_watch.h"

namespace lora::train {
namespace {

// The loss of a model that knows nothing but the variance 0.5 of its data: the noise is told from
// sigma x by the share of it, and what is left of it is 1 / (1 + sigma^2 / 0.5).
double model_loss(int64_t timestep) {
    const double sigma = diffusion::NoiseSchedule().sigma(timestep);
    return 1 / (1 + sigma * sigma / 0.5);
}

std::vector<ExpectedLoss::Point> measured(int count, double spread) {
    std::vector<ExpectedLoss::Point> points;
    Rng rng(4);
    for (int i = 0; i < count; ++i) {
        const int64_t t = (2 * i + 1) * 500 / count;
        points.push_back({t, model_loss(t) * std::exp(spread * static_cast<double>(rng.normal()))});
    }
    return points;
}

TEST(ExpectedLoss, FollowsACurveThatFallsAHundredfold) {
    const ExpectedLoss expected(measured(48, 0));
    for (int64_t t = 20; t < 1000; t += 35) {
        EXPECT_NEAR(expected.at(t) / model_loss(t), 1, 0.08) << t;
    }
}

// What D4 is about: losses jump with the timestep, the ratio does not.
TEST(ExpectedLoss, TheRatioIsSmoothWhereTheLossIsNot) {
    const ExpectedLoss expected(measured(48, 0.2));
    Rng rng(9);
    double loss_square = 0;
    double loss_sum = 0;
    double ratio_square = 0;
    double ratio_sum = 0;
    constexpr int kDraws = 500;
    for (int i = 0; i < kDraws; ++i) {
        const auto t = static_cast<int64_t>(rng.below(1000));
        const auto loss =
            static_cast<float>(model_loss(t) * std::exp(0.2 * static_cast<double>(rng.normal())));
        const double ratio = expected.relative(std::array{loss}, std::array{t});
        loss_sum += static_cast<double>(loss);
        loss_square += static_cast<double>(loss) * static_cast<double>(loss);
        ratio_sum += ratio;
        ratio_square += ratio * ratio;
    }
    const auto deviation = [](double square, double sum) {
        const double mean = sum / kDraws;
        return std::sqrt(square / kDraws - mean * mean) / mean;
    };
    EXPECT_NEAR(ratio_sum / kDraws, 1, 0.05);
    EXPECT_LT(deviation(ratio_square, ratio_sum), 0.3);
    EXPECT_GT(deviation(loss_square, loss_sum), 1.0);
}

TEST(TurnWatch, TwoValuesAboveTheLowestAreATurn) {
    TurnWatch watch;
    EXPECT_FALSE(watch.add({1, 1, 0.50}));
    EXPECT_FALSE(watch.add({2, 2, 0.40}));
    EXPECT_FALSE(watch.add({3, 3, 0.4005}));  // within the tolerance
    EXPECT_FALSE(watch.add({4, 4, 0.41}));
    EXPECT_FALSE(watch.turn().has_value());
    EXPECT_TRUE(watch.add({5, 5, 0.42}));
    ASSERT_TRUE(watch.turn().has_value());
    EXPECT_EQ(watch.turn()->step, 2);
    EXPECT_FALSE(watch.add({6, 6, 0.43}));  // told once
    EXPECT_FALSE(watch.add({7, 7, 0.39}));
    EXPECT_FALSE(watch.turn().has_value());  // taken back
}

TEST(TurnWatch, TrendTellsWhatStillFalls) {
    std::vector<CurvePoint> points;
    for (int64_t i = 0; i < 12; ++i)
        points.push_back({i * 10, i, 1 - 0.02 * static_cast<double>(i)});
    EXPECT_NEAR(*trend(points), -0.06 / 0.84, 1e-9);
    for (int64_t i = 12; i < 36; ++i) points.push_back({i * 10, i, 0.78});
    EXPECT_NEAR(*trend(points), 0, 1e-9);
    EXPECT_FALSE(trend(std::span(points).first(2)).has_value());
}

TEST(Probe, TheBestWeightIsTheVertex) {
    const std::array<double, 6> weights{0.4, 0.6, 0.8, 1.0, 1.2, 1.4};
    std::array<double, 6> losses{};
    for (size_t i = 0; i < losses.size(); ++i) losses[i] = 0.7 + std::pow(weights[i] - 0.93, 2);
    EXPECT_NEAR(best_weight(weights, losses), 0.93, 1e-9);
    for (size_t i = 0; i < losses.size(); ++i) losses[i] = 2 - weights[i];
    EXPECT_EQ(best_weight(weights, losses), 1.4);
}

// M123: at weight 1 it is right, further away something was wrong with the training.
TEST(Probe, TheWeightHasAVerdict) {
    for (const double right : {0.91, 1.0, 1.09}) {
        EXPECT_EQ(verdict_of_weight(right), "right as it is") << right;
    }
    EXPECT_TRUE(verdict_of_weight(1.15).starts_with("not yet learned"));
    EXPECT_TRUE(verdict_of_weight(0.85).starts_with("overdone"));
}

TEST(Probe, TheBudgetKeepsItsShareOfTheRun) {
    EXPECT_EQ(probe_budget(100, 1, false).num_samples, 0);
    EXPECT_EQ(probe_budget(100, 1, true).num_samples, 8);
    for (const int64_t samples : {500, 2000, 20000}) {
        const ProbePlanOptions budget = probe_budget(samples, 1, false);
        // A forward pass is a third of a step.
        EXPECT_LE(static_cast<double>(budget.num_samples) / 3,
                  0.011 * static_cast<double>(samples));
        if (samples < 2000) continue;
        EXPECT_LE(12.0 * static_cast<double>(budget.num_repeated) / 3,
                  0.02 * static_cast<double>(samples));
    }
}

}  // namespace
}  // namespace lora::train
