#include "config/dataset_config.h"

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "config/load.h"
#include "config/validate.h"

namespace lora::config {
namespace {

train::TrainOptions run_options(std::vector<std::string> args = {}) {
    return train_options(load(Command::kTrain, args).settings);
}

constexpr const char* kText = R"(
[general]
shuffle_caption = false
caption_extension = ".txt"
keep_tokens = 1

[[datasets]]
resolution = 512
batch_size = 4
keep_tokens = 2

  [[datasets.subsets]]
  image_dir = 'D:\pictures\cats'
  class_tokens = "cat"
  num_repeats = 10
  flip_aug = true

  [[datasets.subsets]]
  image_dir = "reg"
  is_reg = true
  class_tokens = "animal"
  keep_tokens = 3

[[datasets]]
resolution = [768, 512]
enable_bucket = false

  [[datasets.subsets]]
  image_dir = "large"
  caption_prefix = "photo,"
  caption_dropout_rate = 0.1
)";

// A value is looked for in the subset, its data set, general, the run.
TEST(DatasetConfig, InnermostValueWins) {
    Diagnostics findings;
    const auto plans =
        parse_dataset_config(kText, "d.toml", run_options({"--train_batch_size=3"}), findings);
    ASSERT_TRUE(findings.empty()) << findings.front().text;
    ASSERT_EQ(plans.size(), 2U);
    EXPECT_EQ(plans[0].batch_size, 4);
    EXPECT_EQ(plans[1].batch_size, 3);
    EXPECT_EQ(plans[0].bucket.resolution, (data::ImageSize{512, 512}));
    EXPECT_EQ(plans[1].bucket.resolution, (data::ImageSize{768, 512}));
    EXPECT_TRUE(plans[0].bucket.enable_bucket);
    EXPECT_FALSE(plans[1].bucket.enable_bucket);
    ASSERT_EQ(plans[0].subsets.size(), 2U);
    const data::SubsetPlan& cats = plans[0].subsets[0];
    EXPECT_EQ(cats.image_dir, "D:/pictures/cats");
    EXPECT_EQ(cats.class_tokens, "cat");
    EXPECT_EQ(cats.num_repeats, 10);
    EXPECT_TRUE(cats.options.augment.flip_aug);
    EXPECT_FALSE(cats.options.caption.shuffle_caption);
    EXPECT_EQ(cats.options.caption.keep_tokens, 2);
    const data::SubsetPlan& reg = plans[0].subsets[1];
    EXPECT_TRUE(reg.is_reg);
    EXPECT_EQ(reg.num_repeats, 1);
    EXPECT_EQ(reg.options.caption.keep_tokens, 3);
    EXPECT_FALSE(reg.options.augment.flip_aug);
    const data::SubsetPlan& large = plans[1].subsets[0];
    EXPECT_EQ(large.options.caption.keep_tokens, 1);
    EXPECT_EQ(large.options.caption.caption_prefix, "photo,");
    EXPECT_DOUBLE_EQ(large.options.caption.caption_dropout_rate, 0.1);
    EXPECT_FALSE(large.class_tokens);
    EXPECT_EQ(large.caption_extension, ".txt");
}

TEST(DatasetConfig, JsonSaysTheSame) {
    Diagnostics findings;
    const auto plans = parse_dataset_config(
        R"({"general": {"keep_tokens": null, "color_aug": true},
            "datasets": [{"resolution": "512,640", "subsets": [{"image_dir": "a"}]}]})",
        "d.json",
        run_options({"--keep_tokens=5"}),
        findings);
    ASSERT_TRUE(findings.empty());
    EXPECT_EQ(plans[0].subsets[0].options.caption.keep_tokens, 5);
    EXPECT_TRUE(plans[0].subsets[0].options.augment.color_aug);
    EXPECT_EQ(plans[0].bucket.resolution, (data::ImageSize{512, 640}));
}

TEST(DatasetConfig, MasksAndValidation) {
    constexpr const char* kMasks = R"(
[general]
alpha_mask = true
[[datasets]]
validation_split = 0.25
validation_seed = 7
[[datasets.subsets]]
image_dir = "a"
alpha_mask = false
conditioning_data_dir = 'masks\a'
[[datasets.subsets]]
image_dir = "b"
[[datasets]]
[[datasets.subsets]]
image_dir = "c"
)";
    Diagnostics findings;
    const auto plans = parse_dataset_config(
        kMasks, "d.toml", run_options({"--masked_loss", "--validation_split", "0.1"}), findings);
    EXPECT_TRUE(findings.empty());
    ASSERT_EQ(plans.size(), 2U);
    EXPECT_EQ(plans[0].validation_split, 0.25);
    EXPECT_EQ(plans[0].validation_seed, 7U);
    EXPECT_EQ(plans[1].validation_split, 0.1);
    EXPECT_FALSE(plans[1].validation_seed.has_value());
    const data::MaskOptions& a = plans[0].subsets[0].options.mask;
    EXPECT_EQ(a.conditioning_data_dir, "masks/a");
    EXPECT_FALSE(a.alpha);
    EXPECT_TRUE(plans[0].subsets[1].options.mask.alpha);
    EXPECT_EQ(plans[0].subsets[1].options.mask.conditioning_data_dir, "");
    // Mask pictures are used with masked_loss alone, as those of the whole run.
    const auto without = parse_dataset_config(kMasks, "d.toml", run_options(), findings);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_NE(findings[0].text.find("masked_loss"), std::string::npos);
    EXPECT_FALSE(without[0].subsets[0].options.mask.any());
}

TEST(DatasetConfig, EveryMistakeIsNamedWithItsPlace) {
    Diagnostics findings;
    (void)parse_dataset_config(R"(
[general]
image_dir = "x"
[[datasets]]
resolution = 500
batch_size = 0
[[datasets.subsets]]
num_repeets = 3
is_reg = "yes"
[[datasets.subsets]]
image_dir = "a"
batch_size = 2
metadata_file = "m.json"
[[datasets]]
)",
                               "d.toml",
                               run_options(),
                               findings);
    const auto says = [&](std::string_view place, std::string_view text) {
        for (const Diagnostic& d : findings) {
            if (d.place.find(place) != std::string::npos &&
                (d.text + " " + d.hint).find(text) != std::string::npos) {
                return true;
            }
        }
        return false;
    };
    EXPECT_TRUE(has_errors(findings));
    EXPECT_TRUE(says("general", "image_dir does not belong here"));
    EXPECT_TRUE(says("data set 1", "64"));
    EXPECT_TRUE(says("data set 1", "batch_size"));
    EXPECT_TRUE(says("data set 1, subset 1", "did you mean num_repeats?"));
    EXPECT_TRUE(says("data set 1, subset 1", "is_reg"));
    EXPECT_TRUE(says("data set 1, subset 1", "image_dir is missing"));
    EXPECT_TRUE(says("data set 1, subset 2", "batch_size does not belong here"));
    EXPECT_TRUE(says("data set 1, subset 2", "metadata_file is not in this version"));
    EXPECT_TRUE(says("data set 2", "without [[datasets.subsets]]"));
}

TEST(DatasetConfig, FoldersOnAServerStayAsTheyAre) {
    Diagnostics findings;
    const auto plans = parse_dataset_config(
        "[[datasets]]\nresolution = 512\n[[datasets.subsets]]\nimage_dir = '\\\\server\\cats'\n",
        "d.toml",
        run_options(),
        findings);
    EXPECT_EQ(plans.at(0).subsets.at(0).image_dir, R"(\\server\cats)");
}

TEST(DatasetConfig, FaceCropsWantOneResolution) {
    const auto errors = [](const char* bucket) {
        Diagnostics findings;
        (void)parse_dataset_config(
            std::string("[[datasets]]\nresolution = 512\nenable_bucket = ") + bucket +
                "\n[[datasets.subsets]]\nimage_dir = \"a\"\nface_crop_aug_range = [2.0, 4]\n",
            "d.toml",
            run_options(),
            findings);
        return has_errors(findings);
    };
    EXPECT_TRUE(errors("true"));
    EXPECT_FALSE(errors("false"));
}

TEST(DatasetConfig, WhatIsNoDescriptionIsRefused) {
    for (const char* text : {"x = 1", "[[general]]", "datasets = 3", "{\"a\": 1}"}) {
        Diagnostics findings;
        (void)parse_dataset_config(text, "d", run_options(), findings);
        EXPECT_TRUE(has_errors(findings)) << text;
    }
    Diagnostics findings;
    const auto error = attempt(
        [&] { (void)parse_dataset_config("[[datasets", "d.toml", run_options(), findings); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kFormat);
}

}  // namespace
}  // namespace lora::config
