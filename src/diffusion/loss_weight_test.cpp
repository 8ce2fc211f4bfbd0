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
            EXPECT_NEAR(min_snr_weight(PredictionType::kEpsilon, ac, g) / eps, 1.0, bound);
            EXPECT_NEAR(min_snr_weight(PredictionType::kVPrediction, ac, g) / v, 1.0, bound);
        }
    }
}

TEST(LossWeight, GammaZeroIsOff) {
    EXPECT_EQ(min_snr_weight(PredictionType::kEpsilon, 0.9, 0), 1.0);
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
