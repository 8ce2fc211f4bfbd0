#include "diffusion/loss_weight.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace lora::diffusion {
namespace {

Json table() {
    const std::string path =
        std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/noise_schedule.json";
    return parse_json(read_text_file(path), path);
}

TEST(LossWeight, SnrEqualsTheTable) {
    const Json golden = table();
    const Json& ac = golden["alphas_cumprod_f64"];
    ASSERT_GT(ac.size(), 10U);
    for (size_t i = 0; i < ac.size(); ++i) {
        const double expected = golden["snr_f64"][i];
        EXPECT_NEAR(snr(ac[i]) / expected, 1.0, 1e-9) << i;
    }
}

TEST(LossWeight, MinSnrEqualsSdScripts) {
    const Json golden = table();
    for (const auto& [gamma, columns] : golden["min_snr"].items()) {
        for (size_t i = 0; i < golden["timesteps"].size(); ++i) {
            const double ac = golden["alphas_cumprod_f64"][i];
            const double g = std::stod(gamma);
            const double eps = columns["eps_newest"][i];
            const double v = columns["v_newest"][i];
            const double bound = i == 0 ? 1e-4 : 1e-5;  // the table's SNR is float32
            EXPECT_NEAR(
                loss_weight(PredictionType::kEpsilon, ac, {.min_snr_gamma = g}) / eps, 1.0, bound);
            EXPECT_NEAR(loss_weight(PredictionType::kVPrediction, ac, {.min_snr_gamma = g}) / v,
                        1.0,
                        bound);
        }
    }
}

TEST(LossWeight, OtherWeightsEqualSdScripts) {
    const Json golden = table();
    for (size_t i = 0; i < golden["timesteps"].size(); ++i) {
        const double ac = golden["alphas_cumprod_f64"][i];
        const double bound = i == 0 ? 1e-4 : 1e-5;
        const auto expect = [&](PredictionType type,
                                const LossWeightOptions& options,
                                const Json& column) {
            EXPECT_NEAR(loss_weight(type, ac, options) / column[i].get<double>(), 1.0, bound) << i;
        };
        expect(PredictionType::kEpsilon,
               {.debiased_estimation_loss = true},
               golden["debiased_estimation"]["eps"]);
        expect(PredictionType::kVPrediction,
               {.debiased_estimation_loss = true},
               golden["debiased_estimation"]["v"]);
        expect(PredictionType::kVPrediction,
               {.scale_v_pred_loss_like_noise_pred = true},
               golden["scale_v_pred_loss_like_noise_pred"]);
        expect(PredictionType::kEpsilon, {.v_pred_like_loss = 0.5}, golden["v_pred_like_loss_0.5"]);
    }
}

TEST(LossWeight, NothingAskedIsOne) {
    EXPECT_EQ(loss_weight(PredictionType::kEpsilon, 0.9, {}), 1.0);
    EXPECT_EQ(loss_weight(PredictionType::kVPrediction, 0.9, {}), 1.0);
}

// At snr 4 and at one beyond the limit of 1000.
TEST(LossWeight, FormulasOfSdScripts) {
    constexpr auto kEps = PredictionType::kEpsilon;
    constexpr auto kV = PredictionType::kVPrediction;
    constexpr double kFour = 0.8;
    constexpr double kClean = 0.9999;
    EXPECT_NEAR(loss_weight(kEps, kFour, {.debiased_estimation_loss = true}), 0.5, 1e-12);
    EXPECT_NEAR(loss_weight(kV, kFour, {.debiased_estimation_loss = true}), 0.2, 1e-12);
    EXPECT_NEAR(loss_weight(kV, kFour, {.scale_v_pred_loss_like_noise_pred = true}), 0.8, 1e-12);
    EXPECT_EQ(loss_weight(kEps, kFour, {.scale_v_pred_loss_like_noise_pred = true}), 1.0);
    EXPECT_NEAR(loss_weight(kEps, kFour, {.v_pred_like_loss = 0.4}), 1.5, 1e-12);
    EXPECT_EQ(loss_weight(kV, kFour, {.v_pred_like_loss = 0.4}), 1.0);
    EXPECT_NEAR(loss_weight(kEps, kClean, {.debiased_estimation_loss = true}),
                1 / std::sqrt(1000.0),
                1e-12);
    EXPECT_NEAR(loss_weight(kV, kClean, {.scale_v_pred_loss_like_noise_pred = true}),
                1000.0 / 1001.0,
                1e-12);
    EXPECT_NEAR(loss_weight(kV, kFour, {.min_snr_gamma = 1, .debiased_estimation_loss = true}),
                0.04,
                1e-12);
}

TEST(HuberThreshold, EqualsSdScripts) {
    const Json golden = table();
    int num_columns = 0;
    for (const auto& [name, column] : golden["huber_threshold"].items()) {
        // "schedule=snr,c=0.1,scale=1.0"
        const size_t c_at = name.find(",c=");
        const size_t scale_at = name.find(",scale=");
        const auto schedule = huber_schedule_from_name(name.substr(9, c_at - 9));
        ASSERT_TRUE(schedule.has_value()) << name;
        const HuberOptions options{.schedule = *schedule,
                                   .c = std::stod(name.substr(c_at + 3)),
                                   .scale = std::stod(name.substr(scale_at + 7))};
        for (size_t i = 0; i < golden["timesteps"].size(); ++i) {
            const double threshold = huber_threshold(options,
                                                     golden["timesteps"][i].get<int64_t>(),
                                                     golden["alphas_cumprod_f64"][i].get<double>());
            EXPECT_NEAR(threshold / column[i].get<double>(), 1.0, 1e-5) << name << " " << i;
        }
        ++num_columns;
    }
    EXPECT_EQ(num_columns, 4);
    EXPECT_FALSE(huber_schedule_from_name("linear").has_value());
    // Pure noise: nothing is left but c.
    EXPECT_EQ(huber_threshold({}, 999, 0), 0.1);
}

TEST(Prediction, FactorsFollowTheTable) {
    const Json golden = table();
    for (size_t i = 0; i < golden["timesteps"].size(); ++i) {
        const double ac = golden["alphas_cumprod_f64"][i];
        const MixFactors noisy = noisy_factors(ac);
        const double a = golden["sqrt_alphas_cumprod_f32"][i];
        const double b = golden["sqrt_one_minus_alphas_cumprod_f32"][i];
        EXPECT_NEAR(noisy.of_latent / a, 1.0, 1e-5);
        EXPECT_NEAR(noisy.of_noise / b, 1.0, 1e-4);
        const MixFactors v = target_factors(PredictionType::kVPrediction, ac);
        EXPECT_FLOAT_EQ(v.of_noise, noisy.of_latent);
        EXPECT_FLOAT_EQ(v.of_latent, -noisy.of_noise);
    }
    const MixFactors epsilon = target_factors(PredictionType::kEpsilon, 0.5);
    EXPECT_EQ(epsilon.of_latent, 0.0F);
    EXPECT_EQ(epsilon.of_noise, 1.0F);
}

}  // namespace
}  // namespace lora::diffusion
