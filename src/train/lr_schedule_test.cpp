#include "train/lr_schedule.h"

#include <string>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace lora::train {
namespace {

Json table() {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/lr_schedules.json";
    return parse_json(read_text_file(path), path);
}

LrScheduleOptions options_of(const Json& test_case) {
    const Json& params = test_case["params"];
    LrScheduleOptions options;
    options.name = test_case["scheduler"];
    options.base_lr = test_case["base_lr"];
    options.num_warmup_steps = params.value("num_warmup_steps", 0);
    options.num_training_steps = params.value("num_training_steps", 1);
    options.num_cycles = params.value("num_cycles", params.value("lr_scheduler_num_cycles", 1));
    options.power = params.value("power", 1.0);
    options.min_lr_ratio = params.value("min_lr_rate", params.value("min_lr_ratio", 0.0));
    options.num_decay_steps = params.value("num_decay_steps", 0);
    options.step_rules = params.value("step_rules", "");
    if (params.contains("timescale") && !params["timescale"].is_null()) {
        options.timescale = params["timescale"].get<double>();
    }
    return options;
}

TEST(LrSchedule, MultipliersEqualTheTable) {
    int checked = 0;
    const Json golden = table();
    for (const Json& test_case : golden["cases"]) {
        const LrScheduleOptions options = options_of(test_case);
        check_lr_schedule(options);
        for (size_t i = 0; i < test_case["steps"].size(); ++i) {
            const double expected = test_case["multiplier"][i];
            EXPECT_NEAR(lr_multiplier(options, test_case["steps"][i]), expected, 1e-12)
                << options.name << " " << test_case["params"] << " k " << test_case["steps"][i];
        }
        ++checked;
    }
    EXPECT_EQ(checked, 27);
}

TEST(LrSchedule, SteppingEqualsTheTable) {
    const Json golden = table();
    ASSERT_EQ(golden["stepping"].size(), 3U);
    for (const Json& test_case : golden["stepping"]) {
        const LrScheduleOptions options = options_of(test_case);
        const Json& rates = test_case["lr_used_by_optimizer_step_1_to_n"];
        for (size_t i = 0; i < rates.size(); ++i) {
            const double expected = rates[i];
            EXPECT_NEAR(
                options.base_lr * lr_multiplier(options, static_cast<int64_t>(i)), expected, 1e-16);
        }
    }
}

// M46: cosine_with_restarts begins anew as often as it is asked to; no other schedule does.
TEST(LrSchedule, RestartsAreAsManyAsAskedFor) {
    const auto restarts = [](const std::string& name, int64_t cycles) {
        LrScheduleOptions options;
        options.name = name;
        options.num_training_steps = 120;
        options.num_cycles = cycles;
        int64_t count = 0;
        for (int64_t k = 1; k < 120; ++k) {
            const bool rises = lr_multiplier(options, k) > lr_multiplier(options, k - 1);
            if (rises) {
                EXPECT_EQ(lr_multiplier(options, k), 1) << k;
                EXPECT_EQ(k % (120 / cycles), 0) << k;
            }
            count += rises ? 1 : 0;
        }
        return count;
    };
    for (const int64_t cycles : {1, 2, 4}) {
        EXPECT_EQ(restarts("cosine_with_restarts", cycles), cycles - 1);
        EXPECT_EQ(restarts("cosine", cycles), 0);
        EXPECT_EQ(restarts("linear", cycles), 0);
    }
}

TEST(LrSchedule, WarmupIsCountOrShare) {
    EXPECT_EQ(steps_from_share(0.1, 360), 36);
    EXPECT_EQ(steps_from_share(7, 360), 7);
    EXPECT_EQ(steps_from_share(0, 360), 0);
}

TEST(LrSchedule, RefusesWhatCannotWork) {
    EXPECT_THROW(check_lr_schedule({.name = "cosinus"}), Error);
    EXPECT_THROW(check_lr_schedule({.name = "constant", .num_warmup_steps = 3}), Error);
    EXPECT_THROW(check_lr_schedule({.name = "polynomial", .base_lr = 1e-8}), Error);
    EXPECT_THROW(check_lr_schedule({.name = "warmup_stable_decay",
                                    .num_warmup_steps = 6,
                                    .num_training_steps = 10,
                                    .num_decay_steps = 5}),
                 Error);
}

}  // namespace
}  // namespace lora::train
