#include "train/advice.h"

#include <gtest/gtest.h>

namespace lora::train {
namespace {

// Written, read back, and taken for a base model.
std::optional<Diagnostic> advice_on(const io::Metadata& metadata) {
    const std::string path = testing::TempDir() + "merged.safetensors";
    const Tensor tensor = Tensor::from_floats({1}, std::vector<float>{1});
    io::write_safetensors(path, std::vector<io::NamedTensor>{{"x", tensor.view()}}, metadata);
    return advise_on_model(io::SafetensorsFile::open(path));
}

// A data set of folders given as {name, trigger, pictures, repeats}.
struct Folder {
    std::string name;
    std::string trigger;
    int64_t images = 1;
    int64_t repeats = 1;
    bool is_reg = false;
};

data::BucketedDataset data_of(const std::vector<Folder>& folders) {
    data::Dataset dataset;
    for (const Folder& f : folders) {
        data::ConceptFolder folder;
        folder.name = f.name;
        folder.trigger = f.trigger;
        folder.repeats = f.repeats;
        folder.num_images = f.images;
        folder.is_reg = f.is_reg;
        for (int64_t i = 0; i < f.images; ++i) {
            data::ImageEntry image;
            image.folder_idx = std::ssize(dataset.folders);
            image.size = {512, 512};
            image.repeats = f.repeats;
            image.is_reg = f.is_reg;
            dataset.images.push_back(image);
        }
        dataset.folders.push_back(folder);
    }
    return data::assign_buckets(std::move(dataset), data::BucketChooser({}));
}

Diagnostics advice(const std::vector<Folder>& folders,
                   int64_t epochs,
                   const std::string& optimizer = "AdamW",
                   double prior_loss_weight = 1) {
    TrainOptions options;
    options.optimizer.optimizer_type = optimizer;
    options.dataset.prior_loss_weight = prior_loss_weight;
    data::StepPlan steps;
    steps.num_epochs = epochs;
    return advise(options, data_of(folders), steps);
}

bool says(const Diagnostics& list, std::string_view text) {
    for (const Diagnostic& d : list) {
        EXPECT_EQ(d.severity, Severity::kNote);
        if ((d.place + ": " + d.text + "; " + d.hint).find(text) != std::string::npos) return true;
    }
    return false;
}

// Test of M107: a note when the metadata shows a merge.
TEST(Advice, MergedBaseModels) {
    EXPECT_FALSE(advice_on({}));
    EXPECT_FALSE(advice_on({{"modelspec.title", "a mix"}, {"modelspec.merged_from", ""}}));
    // As AUTOMATIC1111's merger writes it.
    const auto two = advice_on({{"sd_merge_recipe", R"({"type": "webui"})"},
                                {"sd_merge_models", R"({"aa": {"name": "x"}, "bb": {}})"}});
    ASSERT_TRUE(two.has_value());
    EXPECT_EQ(two->severity, Severity::kNote);
    EXPECT_EQ(two->text, "this base model was merged from 2 models");
    EXPECT_NE(two->hint.find("overfit"), std::string::npos);
    EXPECT_EQ(advice_on({{"modelspec.merged_from", "a, b, c"}})->text,
              "this base model was merged from 3 models");
    // Words that are no JSON still tell that there was a merge.
    EXPECT_EQ(advice_on({{"sd_merge_models", "[[["}})->text,
              "this base model was merged from others");
}

// M130: epochs times repeats within 50 to 100; M134: repeats by the number of pictures.
TEST(Advice, EpochsTimesRepeats) {
    EXPECT_TRUE(advice({{"5_zorp", "zorp", 24, 5}}, 12).empty());
    EXPECT_TRUE(advice({{"5_zorp", "zorp", 24, 5}}, 10).empty());
    EXPECT_TRUE(says(advice({{"5_zorp", "zorp", 24, 5}}, 9), "45 times; 50 to 100"));
    EXPECT_TRUE(says(advice({{"10_zorp", "zorp", 24, 10}}, 12), "120 times"));
    EXPECT_TRUE(says(advice({{"10_zorp", "zorp", 24, 10}}, 12), "5 to 8 repeats suit 24 pictures"));
    EXPECT_TRUE(says(advice({{"10_zorp", "zorp", 24, 10}}, 12), "5 to 10 epochs"));
    EXPECT_TRUE(says(advice({{"1_zorp", "zorp", 10, 1}}, 1), "10 to 16 repeats suit 10 pictures"));
}

// M139: DAdaptAdam takes up to 1.4 times as many.
TEST(Advice, TheOptimizerScalesTheLength) {
    EXPECT_EQ(usual_views("AdamW").high, 100);
    EXPECT_EQ(usual_views("DAdaptAdam").high, 140);
    EXPECT_TRUE(says(advice({{"10_zorp", "zorp", 24, 10}}, 12, "AdamW"), "120 times"));
    EXPECT_TRUE(advice({{"10_zorp", "zorp", 24, 10}}, 12, "DAdaptAdam").empty());
}

// M135
TEST(Advice, SharesOfConcepts) {
    const Diagnostics list = advice({{"5_zorp", "zorp", 30, 5}, {"10_blik", "blik", 5, 10}}, 10);
    EXPECT_TRUE(says(list, "5_zorp 75% (30 x 5), 10_blik 25% (5 x 10)"));
    EXPECT_FALSE(says(advice({{"5_zorp", "zorp", 30, 5}}, 10), "shares"));
}

// M118 to M122: what regularisation pictures cost, by the number of pictures.
TEST(Advice, Regularisation) {
    const Folder reg = {"1_thing", "thing", 10, 1, true};
    const Diagnostics many = advice({{"5_zorp", "zorp", 31, 5}, reg}, 12);
    EXPECT_TRUE(says(many, "not advised"));
    EXPECT_TRUE(says(many, "0.3 is worth a try"));
    EXPECT_TRUE(says(many, "10 pictures are drawn 10 times an epoch"));
    const Diagnostics few = advice({{"5_zorp", "zorp", 30, 5}, reg}, 12, "AdamW", 0.3);
    EXPECT_FALSE(says(few, "not advised"));
    EXPECT_FALSE(says(few, "0.3 is worth a try"));
    EXPECT_FALSE(says(advice({{"5_zorp", "zorp", 31, 5}}, 12), "regularisation"));
}

// M114
TEST(Advice, TriggersThatMeanSomethingAlready) {
    EXPECT_EQ(other_meaning("1girl"), "a tag of its own");
    EXPECT_EQ(other_meaning(" White Background"), "a tag of its own");
    EXPECT_EQ(other_meaning("victoria"), "one word the model knows");
    EXPECT_EQ(other_meaning("zorp"), "");
    EXPECT_EQ(other_meaning("Kamisato Ayaka"), "");
    EXPECT_EQ(other_meaning(""), "");
    EXPECT_TRUE(says(advice({{"5_maid", "maid", 24, 5}}, 12), "old and new meaning will mix"));
}

}  // namespace
}  // namespace lora::train
