#include "train/loss_scaler.h"

#include <limits>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "base/error.h"

namespace lora::train {
namespace {

class LossScalerTest : public testing::Test {
protected:
    void fill(float value) { write_floats(*gradients_, std::vector<float>{value, -2 * value, 0}); }
    std::unique_ptr<backend::Backend> backend_ = reference::open({});
    std::shared_ptr<backend::Buffer> gradients_ = backend_->make_buffer(3 * sizeof(float));
};

TEST_F(LossScalerTest, GradientsComeBackToTheirOwnSize) {
    LossScaler scaler(*backend_, gradients_, 3, {});
    EXPECT_EQ(scaler.state().scale, 65536);
    fill(65536.0F * 0.75F);
    EXPECT_TRUE(scaler.unscale());
    EXPECT_EQ(read_floats(*gradients_), (std::vector<float>{0.75F, -1.5F, 0}));
    EXPECT_EQ(scaler.state().good_updates, 1);
}

TEST_F(LossScalerTest, NotFiniteSkipsAndHalves) {
    LossScaler scaler(*backend_, gradients_, 3, {.scale = 65536, .good_updates = 7});
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        fill(bad);
        EXPECT_FALSE(scaler.unscale());
    }
    EXPECT_EQ(scaler.state().scale, 16384);
    EXPECT_EQ(scaler.state().good_updates, 0);
    EXPECT_EQ(scaler.state().skipped_updates, 2);
}

TEST_F(LossScalerTest, DoublesAfterTwoThousandGoodUpdates) {
    LossScaler scaler(*backend_, gradients_, 3, {.scale = 1024, .good_updates = 1998});
    fill(1);
    EXPECT_TRUE(scaler.unscale());
    EXPECT_EQ(scaler.state().scale, 1024);
    EXPECT_TRUE(scaler.unscale());
    EXPECT_EQ(scaler.state().scale, 2048);
    EXPECT_EQ(scaler.state().good_updates, 0);
}

TEST_F(LossScalerTest, GivesUpWhenNoScaleHelps) {
    LossScaler scaler(*backend_, gradients_, 3, {.scale = 1.0 / 1024});
    fill(std::numeric_limits<float>::quiet_NaN());
    EXPECT_THROW(static_cast<void>(scaler.unscale()), Error);
}

}  // namespace
}  // namespace lora::train
