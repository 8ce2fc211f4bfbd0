#include "app/cli/counter.h"

#include <gtest/gtest.h>

namespace lora::app {
namespace {

TEST(Counter, TellsRateAndTimeLeft) {
    EXPECT_EQ(work_text("pictures", 0, 400, 0, 0), "pictures 0/400");
    EXPECT_EQ(work_text("pictures", 12, 400, 12, 4), "pictures 12/400 3.0/s left 2:09");
    // What was there before this run is no measure of its rate.
    EXPECT_EQ(work_text("pictures", 300, 400, 50, 100), "pictures 300/400 2.00 s each left 3:20");
    EXPECT_EQ(work_text("tokens", 9, 9, 9, 1), "tokens 9/9 9.0/s left 0:00");
}

}  // namespace
}  // namespace lora::app
