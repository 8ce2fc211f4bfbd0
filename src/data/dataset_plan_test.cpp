// Data sets as a description lists them, and concepts of folder names in captions.
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "data/epoch_plan.h"
#include "data/loader.h"
#include "io/png.h"

namespace lora::data {
namespace {

class DatasetPlanTest : public testing::Test {
protected:
    void SetUp() override {
        root_ = testing::TempDir() + "plan " +
                testing::UnitTest::GetInstance()->current_test_info()->name();
        remove_directory(root_);
        make_directories(root_);
    }
    void TearDown() override { remove_directory(root_); }

    void picture(const std::string& name, const std::string& caption = {}) const {
        const std::string path = join_path(root_, name);
        make_directories(parent_path(path));
        io::write_png(path, {96, 96, std::vector<uint8_t>(96 * 96 * 3, 90)});
        if (!caption.empty()) write_file_atomically(without_extension(path) + ".txt", caption);
    }
    [[nodiscard]] SubsetPlan subset(const std::string& folder, int64_t repeats = 1) const {
        SubsetPlan plan;
        plan.image_dir = join_path(root_, folder);
        plan.num_repeats = repeats;
        plan.caption_extension = ".txt";
        return plan;
    }
    [[nodiscard]] ScanResult scan_concept(ConceptTrigger trigger) const {
        DatasetOptions options;
        options.train_data_dir = join_path(root_, "train");
        options.caption_extension = ".txt";
        options.folder_names = FolderScheme::kGuide;
        options.concept_trigger = trigger;
        return scan_dataset(options);
    }

    std::string root_;
};

// M111: both modes of the switch, and the one that decides by folder.
TEST_F(DatasetPlanTest, TheFoldersConceptInCaptions) {
    picture("train/2_Snow_Fox animal/a.png", "white fur, snow");
    picture("train/2_Snow_Fox animal/b.png");
    picture("train/3_zorp/c.png", "blue, zorp");
    picture("train/3_zorp/d.png", "red");
    const auto captions = [](const ScanResult& scan) {
        std::vector<std::string> out;
        for (const ImageEntry& image : scan.dataset.images) out.push_back(image.caption);
        return out;
    };
    using List = std::vector<std::string>;
    const ScanResult fallback = scan_concept(ConceptTrigger::kFallback);
    EXPECT_EQ(captions(fallback),
              (List{"white fur, snow", "Snow Fox animal", "blue, zorp", "red"}));
    EXPECT_EQ(captions(scan_concept(ConceptTrigger::kPrepend)),
              (List{"Snow Fox, white fur, snow", "Snow Fox animal", "blue, zorp", "zorp, red"}));
    const ScanResult automatic = scan_concept(ConceptTrigger::kAuto);
    EXPECT_EQ(captions(automatic),
              (List{"Snow Fox, white fur, snow", "Snow Fox animal", "blue, zorp", "red"}));
    EXPECT_TRUE(automatic.dataset.folders[0].trigger_in_front);
    EXPECT_FALSE(automatic.dataset.folders[1].trigger_in_front);
    EXPECT_EQ(automatic.dataset.folders[0].class_name, "animal");
    EXPECT_EQ(automatic.dataset.folders[0].num_without_caption, 1);
    // Tags are counted as the files have them.
    EXPECT_EQ(automatic.dataset.folders[0].tag_counts.front().first, "white fur");
}

TEST_F(DatasetPlanTest, AFolderMaySayItsConceptItself) {
    picture("train/2_x/a.png");
    write_file_atomically(join_path(root_, "train/2_x/_concept.txt"), "Kamisato Ayaka\n1girl\n");
    const ScanResult scan = scan_concept(ConceptTrigger::kAuto);
    EXPECT_EQ(scan.dataset.images[0].caption, "Kamisato Ayaka 1girl");
    EXPECT_EQ(scan.dataset.folders[0].trigger, "Kamisato Ayaka");
}

// M117
TEST_F(DatasetPlanTest, RegularisationPicturesNeedNoCaptions) {
    picture("train/2_zorp/a.png", "zorp");
    picture("reg/1_thing/r.png");
    DatasetOptions options;
    options.train_data_dir = join_path(root_, "train");
    options.reg_data_dir = join_path(root_, "reg");
    options.caption_extension = ".txt";
    const ScanResult scan = scan_dataset(options);
    EXPECT_TRUE(scan.diagnostics.empty());
    EXPECT_EQ(scan.dataset.images[1].caption, "thing");
}

TEST_F(DatasetPlanTest, MasksMayHaveEndingsOfLargeLetters) {
    picture("train/2_zorp/a.png", "zorp");
    picture("masks/2_zorp/a.PNG");
    DatasetOptions options;
    options.train_data_dir = join_path(root_, "train");
    options.caption_extension = ".txt";
    options.mask.conditioning_data_dir = join_path(root_, "masks");
    const ScanResult scan = scan_dataset(options);
    EXPECT_EQ(base_name(scan.dataset.images.front().mask_path), "a.PNG");
    EXPECT_EQ(find_picture(join_path(root_, "train/2_zorp/a")), scan.dataset.images.front().path);
    EXPECT_EQ(find_picture(join_path(root_, "train/2_zorp/b")), "");
}

TEST_F(DatasetPlanTest, PicturesThatAreSetAsideHaveMasksToo) {
    for (const char* name : {"a", "b", "c", "d"}) {
        picture(std::string("train/2_zorp/") + name + ".png", "zorp");
        picture(std::string("masks/") + name + ".png");
    }
    DatasetOptions options;
    options.train_data_dir = join_path(root_, "train");
    options.caption_extension = ".txt";
    options.mask.conditioning_data_dir = join_path(root_, "masks");
    options.validation_split = 0.25;
    const ScanResult scan = scan_dataset(options);
    ASSERT_EQ(scan.validation.size(), 1U);
    EXPECT_EQ(scan.validation[0].mask_path,
              join_path(root_, "masks/" + base_name(scan.validation[0].path)));
    EXPECT_EQ(scan.dataset.folders[0].num_images, 3);
}

TEST_F(DatasetPlanTest, MasksAndValidationByFolderAndDataSet) {
    for (const char* name : {"a", "b", "c", "d"}) {
        for (const char* folder : {"cats/", "dogs/", "birds/", "masks/"}) {
            picture(std::string(folder) + name + ".png", "x");
        }
    }
    SubsetPlan cats = subset("cats");
    cats.options.mask.conditioning_data_dir = join_path(root_, "masks");
    SubsetPlan dogs = subset("dogs");
    dogs.options.mask.alpha = true;
    DatasetPlan first{.subsets = {cats, dogs}};
    first.validation_split = 0.25;
    DatasetOptions options;
    options.plans = {first, {.subsets = {subset("birds")}}};
    options.mask.alpha = true;  // of folders that are not described
    options.validation_split = 0.5;
    EXPECT_TRUE(options.sets_aside());
    const ScanResult scan = scan_dataset(options);
    EXPECT_EQ(scan.dataset.images.size(), 10U);
    EXPECT_EQ(scan.validation.size(), 2U);
    for (const std::vector<ImageEntry>* images : {&scan.dataset.images, &scan.validation}) {
        for (const ImageEntry& image : *images) {
            const std::string folder = base_name(parent_path(image.path));
            EXPECT_EQ(!image.mask_path.empty(), folder == "cats");
            EXPECT_EQ(image.alpha_mask, folder == "dogs");
        }
    }
    // Another seed sets others aside.
    std::set<std::string> seen;
    for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
        options.plans[0].validation_seed = seed;
        seen.insert(scan_dataset(options).validation[0].path);
    }
    EXPECT_GT(seen.size(), 1U);
    options.plans[0].validation_split = 0;
    EXPECT_FALSE(options.sets_aside());
    options.plans[1].subsets[0].options.mask.conditioning_data_dir = join_path(root_, "nowhere");
    EXPECT_THROW(scan_dataset(options), Error);
}

TEST_F(DatasetPlanTest, SubsetsHaveOptionsOfTheirOwn) {
    picture("cats/a.png", "a, b, c, d");
    picture("dogs/b.png", "e, f, g, h");
    picture("things/r.png");
    DatasetPlan plan;
    plan.batch_size = 2;
    plan.bucket.resolution = {64, 64};
    plan.bucket.min_bucket_reso_px = 64;
    SubsetPlan cats = subset("cats", 5);
    cats.class_tokens = "cat";
    cats.options.caption = {.shuffle_caption = true, .keep_tokens = 2};
    SubsetPlan dogs = subset("dogs", 3);
    dogs.options.augment.flip_aug = true;
    dogs.options.caption.caption_prefix = "photo,";
    SubsetPlan things = subset("things");
    things.is_reg = true;
    things.class_tokens = "thing";
    plan.subsets = {cats, dogs, things, cats};

    DatasetOptions options;
    options.dataset_config = "d.toml";
    options.prior_loss_weight = 0.5;
    options.plans = {plan};
    const ScanResult scan = scan_dataset(options);
    ASSERT_EQ(scan.diagnostics.size(), 1U);  // cats named twice
    ASSERT_EQ(scan.dataset.images.size(), 3U);
    EXPECT_EQ(scan.dataset.num_train_images, 8);
    EXPECT_EQ(scan.dataset.num_reg_images, 1);
    EXPECT_EQ(scan.dataset.images[2].repeats, 8);  // raised to balance
    EXPECT_EQ(scan.dataset.images[2].loss_weight, 0.5F);
    EXPECT_EQ(scan.dataset.images[2].caption, "thing");

    const BucketedDataset data = assign_buckets(scan.dataset, BucketChooser({}));
    ASSERT_EQ(data.buckets.size(), 1U);
    EXPECT_EQ(data.buckets[0].batch_size, 2);
    LoaderOptions loading;
    loading.batch_size = 1;  // the data set's own wins
    loading.plan = plan_steps(data.num_batches(1), {.max_train_epochs = 4});
    EXPECT_EQ(loading.plan.num_batches, 8);
    BatchMaker maker(data, loading, [](int64_t, bool) { return Tensor(DType::kF32, {4, 8, 8}); });
    int64_t flips = 0;
    bool moved = false;
    for (int64_t epoch = 1; epoch <= 4; ++epoch) {
        for (int64_t i = 0; i < 8; ++i) {
            const Batch batch = maker.make(epoch, i);
            EXPECT_EQ(batch.size(), 2);
            for (size_t n = 0; n < 2; ++n) {
                const std::string& caption = batch.captions[n];
                if (batch.image_idx[n] == 0) {
                    EXPECT_FALSE(batch.flipped[n]);
                    EXPECT_TRUE(caption.starts_with("a, b, ")) << caption;
                    moved = moved || caption == "a, b, d, c";
                } else if (batch.image_idx[n] == 1) {
                    flips += batch.flipped[n] ? 1 : 0;
                    EXPECT_EQ(caption, "photo, e, f, g, h");
                }
            }
        }
    }
    EXPECT_GT(flips, 0);
    EXPECT_TRUE(moved);
}

TEST_F(DatasetPlanTest, DataSetsHaveResolutionsAndBatchesOfTheirOwn) {
    for (const char* name : {"a", "b", "c"}) picture(std::string("small/") + name + ".png", "x");
    for (const char* name : {"d", "e", "f"}) picture(std::string("large/") + name + ".png", "y");
    DatasetPlan small;
    small.batch_size = 3;
    small.bucket = {.resolution = {64, 64}, .min_bucket_reso_px = 64};
    small.subsets = {subset("small")};
    DatasetPlan large;
    large.batch_size = 1;
    large.bucket = {.resolution = {128, 128}, .min_bucket_reso_px = 64};
    large.subsets = {subset("large")};
    DatasetOptions options;
    options.plans = {small, large};
    const BucketedDataset data = assign_buckets(scan_dataset(options).dataset, BucketChooser({}));
    ASSERT_EQ(data.buckets.size(), 2U);
    EXPECT_EQ(data.buckets[0].size, (ImageSize{64, 64}));
    EXPECT_EQ(data.buckets[1].size, (ImageSize{128, 128}));
    EXPECT_EQ(data.num_batches(7), 4);
    std::vector<size_t> sizes;
    for (const BatchPlan& batch : plan_epoch(data, 7, 1, 1)) sizes.push_back(batch.slots.size());
    std::sort(sizes.begin(), sizes.end());
    EXPECT_EQ(sizes, (std::vector<size_t>{1, 1, 1, 3}));
}

TEST_F(DatasetPlanTest, PixelsInPlaceOfLatents) {
    picture("train/2_zorp/a.png", "zorp");
    DatasetOptions options;
    options.train_data_dir = join_path(root_, "train");
    options.caption_extension = ".txt";
    const BucketedDataset data = assign_buckets(scan_dataset(options).dataset, BucketChooser({}));
    LoaderOptions loading;
    loading.plan = plan_steps(data.num_batches(1), {.max_train_epochs = 1});
    std::vector<int64_t> slots;
    loading.pixels = [&](const PictureDraw& draw) {
        slots.push_back(draw.slot);
        return Tensor(DType::kF32, {3, 512, 512});
    };
    BatchMaker maker(data, loading, {});
    EXPECT_TRUE(maker.make(1, 0).holds_pixels);
    EXPECT_EQ(maker.make(1, 1).latents.shape(), (Shape{1, 3, 512, 512}));
    std::sort(slots.begin(), slots.end());
    EXPECT_EQ(slots, (std::vector<int64_t>{0, 1}));
}

}  // namespace
}  // namespace lora::data
