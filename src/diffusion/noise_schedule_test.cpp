// The noise table against torch's, tests/golden/spec/noise_schedule.json.
#include "diffusion/noise_schedule.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace lora::diffusion {
namespace {

TEST(NoiseSchedule, EqualsTheGoldenTable) {
    const std::string path =
        std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/noise_schedule.json";
    const Json golden = parse_json(read_text_file(path), path);
    const NoiseSchedule schedule;
    size_t i = 0;
    for (const Json& t : golden["timesteps"]) {
        const auto index = t.get<int64_t>();
        const double ac = golden["alphas_cumprod_f64"][i].get<double>();
        EXPECT_NEAR(schedule.alphas_cumprod(index) / ac, 1.0, 1e-12) << index;
        const double single = golden["sigma_f32"][i].get<double>();
        EXPECT_NEAR(schedule.sigma(index) / single, 1.0, 1e-4) << index;
        ++i;
    }
    EXPECT_EQ(i, 23U);
}

TEST(NoiseSchedule, InterpolatesAndInverts) {
    const NoiseSchedule schedule;
    EXPECT_EQ(schedule.sigma_at(12), schedule.sigma(12));
    EXPECT_NEAR(schedule.sigma_at(0.5), (schedule.sigma(0) + schedule.sigma(1)) / 2, 1e-15);
    for (const int64_t t : {0, 1, 500, 998, 999}) {
        EXPECT_NEAR(schedule.timestep_of(schedule.sigma(t)), static_cast<double>(t), 1e-9);
    }
    EXPECT_EQ(schedule.timestep_of(1e9), 999.0);
    EXPECT_EQ(schedule.timestep_of(0), 0.0);
    EXPECT_THROW(static_cast<void>(schedule.sigma(1000)), std::exception);
}

TEST(NoiseSchedule, ZeroTerminalSnrEqualsSdScripts) {
    const std::string path =
        std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/noise_schedule.json";
    const Json golden = parse_json(read_text_file(path), path);
    const NoiseSchedule schedule(true);
    const Json& expected = golden["zero_terminal_snr"]["alphas_cumprod_f32"];
    for (size_t i = 0; i < golden["timesteps"].size(); ++i) {
        const double ac = schedule.alphas_cumprod(golden["timesteps"][i].get<int64_t>());
        EXPECT_NEAR(ac, expected[i].get<double>(), 1e-6) << i;
    }
    EXPECT_EQ(schedule.alphas_cumprod(999), 0.0);
}

}  // namespace
}  // namespace lora::diffusion
