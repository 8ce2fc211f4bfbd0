#include "data/steps.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora::data {
namespace {

TEST(Steps, EpochsWinOverSteps) {
    const StepPlan plan = plan_steps(10, {.gradient_accumulation_steps = 4, .max_train_epochs = 3});
    EXPECT_EQ(plan.steps_per_epoch, 3);
    EXPECT_EQ(plan.max_train_steps, 9);
    EXPECT_EQ(plan.num_epochs, 3);
}

TEST(Steps, StepsEndInsideAnEpoch) {
    const StepPlan plan = plan_steps(10, {.max_train_steps = 25});
    EXPECT_EQ(plan.steps_per_epoch, 10);
    EXPECT_EQ(plan.num_epochs, 3);
    EXPECT_EQ(plan.max_train_steps, 25);
    EXPECT_EQ(plan_steps(10, {}).max_train_steps, 1600);
}

TEST(Steps, UpdatesOnEveryGroupAndOnTheLastBatch) {
    const StepPlan plan = plan_steps(7, {.gradient_accumulation_steps = 3, .max_train_epochs = 2});
    int64_t updates = 0;
    for (int64_t epoch = 1; epoch <= 2; ++epoch) {
        for (int64_t batch = 0; batch < 7; ++batch) {
            EXPECT_EQ(steps_before(plan, epoch, batch, 3), updates);
            updates += is_update(plan, batch, 3) ? 1 : 0;
        }
    }
    EXPECT_EQ(updates, plan.max_train_steps);
}

TEST(Steps, SmallFacts) {
    EXPECT_EQ(num_batches(0, 4), 0);
    EXPECT_EQ(num_batches(9, 4), 3);
    const StepPlan plan = plan_steps(5, {.max_train_epochs = 12});
    EXPECT_EQ(save_every_from_ratio(plan, 5), 2);
    EXPECT_EQ(save_every_from_ratio(plan, 50), 1);
    EXPECT_THROW(static_cast<void>(plan_steps(0, {})), Error);
    EXPECT_THROW(static_cast<void>(plan_steps(5, {.gradient_accumulation_steps = 0})), Error);
    EXPECT_THROW(static_cast<void>(plan_steps(5, {.max_train_steps = 0})), Error);
}

}  // namespace
}  // namespace lora::data
