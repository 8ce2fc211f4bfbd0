#include "train/tag_check.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/file.h"
#include "train/tiny_run_test.h"

namespace lora::train {
namespace {

TEST(TagCheck, TagsOfCaptionsAndCaptionsWithoutThem) {
    data::Dataset dataset;
    for (const char* caption : {"cat, red  hat, sofa", "cat,sofa , cat", "", "dog"}) {
        dataset.images.push_back({.caption = caption});
    }
    dataset.images[3].is_reg = true;
    dataset.folders.push_back({});
    const std::vector<TagUse> uses = tags_of(dataset, {});
    ASSERT_EQ(uses.size(), 3U);
    EXPECT_EQ(uses[0].tag, "cat");
    EXPECT_EQ(uses[0].images, (std::vector<int64_t>{0, 1}));
    EXPECT_EQ(uses[1].tag, "sofa");
    EXPECT_EQ(uses[2].tag, "red  hat");
    EXPECT_EQ(without_tag("cat, red hat, sofa", "red hat", ","), "cat, sofa");
    EXPECT_EQ(without_tag("cat,sofa , cat", "cat", ","), "sofa");
    EXPECT_EQ(without_tag("cat", "cat", ","), "");
    EXPECT_EQ(without_tag("cats, cat hat", "cat", ","), "cats, cat hat");
}

TEST(TagCheck, KnownIsWhatSavesLossBeyondChance) {
    const TagUse use{"hat", {1, 2}};
    const std::vector<double> without{1, 2, 1, 2};
    const TagKnowledge known = judge_tag(use, std::vector<double>{0.9, 1.7, 0.88, 1.8}, without);
    EXPECT_NEAR(known.gain, (0.1 + 0.15 + 0.12 + 0.1) / 4, 1e-12);
    EXPECT_GT(known.error, 0);
    EXPECT_TRUE(known.is_known());
    EXPECT_EQ(known.num_images, 2);
    // The same mean out of one question, losses that rise, and savings that do not matter.
    EXPECT_FALSE(judge_tag(use, std::vector<double>{0.5, 2, 1, 2}, without).is_known());
    EXPECT_FALSE(judge_tag(use, std::vector<double>{1.1, 2.2, 1.1, 2.2}, without).is_known());
    EXPECT_FALSE(
        judge_tag(use, std::vector<double>{0.999, 1.998, 0.999, 1.998}, without).is_known());
}

class TagCheckRun : public TinyRun {};

// The questions of both captions are the same: a tag in no caption's tokens saves nothing.
TEST_F(TagCheckRun, AsksOfEveryTagAndTrainsNothing) {
    TrainOptions o = options("tags");
    o.monitor.probe_every_n_steps = 1;
    o.monitor.asks_every_bucket = true;
    CallbackSink nothing([](const Event&) {});
    TestDevice device;
    const auto run = TrainingRun::open(o, device);
    const std::vector<TagKnowledge> found = run->check_tags({}, nothing);
    ASSERT_FALSE(found.empty());
    for (const TagKnowledge& tag : found) {
        EXPECT_GT(tag.num_images, 0);
        EXPECT_TRUE(std::isfinite(tag.gain));
        EXPECT_NE(tag.gain, 0) << tag.tag;
    }
    EXPECT_FALSE(path_exists(join_path(root(), "tags/dot.safetensors")));
}

}  // namespace
}  // namespace lora::train
