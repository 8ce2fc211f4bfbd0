#include "tools/interrogate.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/clip_tokenizer.h"

namespace lora::tools {
namespace {

// Two numbers a window.
TokenStates states(double moved_by) {
    return [moved_by](std::span<const int32_t> ids) {
        std::vector<float> out;
        for (const int32_t id : ids) {
            const double move = id == 320 ? 2 : (id == 7 ? 1 : 0);
            out.push_back(static_cast<float>(id % 10 + move * moved_by));
            out.push_back(static_cast<float>(-move * moved_by));
        }
        return out;
    };
}

TEST(Interrogate, RanksTheTokensThatMoved) {
    const auto top = interrogate(states(0), states(0.5), {.batch_size = 64, .top = 3});
    ASSERT_EQ(top.size(), 3u);
    EXPECT_EQ(top[0].id, 320);
    EXPECT_NEAR(top[0].score, 1, 1e-6);  // both numbers by 2 * 0.5
    EXPECT_EQ(top[0].text, text::ClipTokenizer().decode_token(320));
    EXPECT_EQ(top[1].id, 7);
    EXPECT_NEAR(top[1].score, 0.5, 1e-6);
    EXPECT_EQ(top[2].id, 0);
    EXPECT_EQ(top[2].score, 0);
}

TEST(Interrogate, TheBatchSizeChangesNothing) {
    const auto wanted = interrogate(states(0), states(1), {.batch_size = 16, .top = 50});
    for (const int64_t size : {1, 7, 64, 60000}) {
        const auto got =
            interrogate(states(0), states(1), {.batch_size = size, .top = 50, .last_token = 49407});
        ASSERT_EQ(got.size(), wanted.size());
        for (size_t i = 0; i < got.size(); ++i) {
            EXPECT_EQ(got[i].id, wanted[i].id);
            EXPECT_EQ(got[i].score, wanted[i].score);
        }
    }
}

TEST(Interrogate, StatesThatAreNotFiniteAreRefused) {
    const TokenStates broken = [](std::span<const int32_t> ids) {
        return std::vector<float>(ids.size() * 2, std::numeric_limits<float>::quiet_NaN());
    };
    EXPECT_THROW(static_cast<void>(interrogate(states(0), broken)), Error);
}

}  // namespace
}  // namespace lora::tools
