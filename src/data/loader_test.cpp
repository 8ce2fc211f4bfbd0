#include "data/loader.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora::data {
namespace {

BucketedDataset some_data() {
    Dataset dataset;
    for (int64_t i = 0; i < 7; ++i) {
        ImageEntry image;
        image.path = "p" + std::to_string(i);
        image.caption = "tag" + std::to_string(i) + ", red circle, smile, blue background";
        image.size = i % 2 == 0 ? ImageSize{512, 512} : ImageSize{512, 768};
        image.repeats = 1 + i % 3;
        image.is_reg = i == 6;
        image.loss_weight = image.is_reg ? 0.5F : 1.0F;
        dataset.images.push_back(image);
    }
    return assign_buckets(std::move(dataset), BucketChooser({}));
}

LoaderOptions some_options(const BucketedDataset& data, int64_t batch_size = 2) {
    LoaderOptions options;
    options.seed = 42;
    options.batch_size = batch_size;
    options.flip_aug = true;
    options.gradient_accumulation_steps = 2;
    options.caption.shuffle_caption = true;
    options.chunks.max_token_length = 225;
    options.plan = plan_steps(data.num_batches(batch_size),
                              {.gradient_accumulation_steps = 2, .max_train_epochs = 3});
    return options;
}

LatentSource source_of(const BucketedDataset& data) {
    return [&data](int64_t image, bool flipped) {
        const ImageSize size = data.choices[static_cast<size_t>(image)].bucket;
        Tensor latent(DType::kF32, {4, size.height_px / 8, size.width_px / 8});
        latent.data<float>()[0] = static_cast<float>(image) + (flipped ? 0.5F : 0.0F);
        return latent;
    };
}

std::vector<Batch> all_batches(Loader& loader) {
    std::vector<Batch> out;
    while (auto batch = loader.next()) out.push_back(std::move(*batch));
    return out;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() &&
           std::memcmp(a.bytes().data(), b.bytes().data(), a.bytes().size()) == 0;
}

void expect_same(const Batch& a, const Batch& b) {
    EXPECT_EQ(a.slots, b.slots);
    EXPECT_EQ(a.flipped, b.flipped);
    EXPECT_EQ(a.captions, b.captions);
    EXPECT_EQ(a.epoch, b.epoch);
    EXPECT_EQ(a.batch_idx, b.batch_idx);
    EXPECT_EQ(a.step, b.step);
    EXPECT_TRUE(same_bytes(a.latents, b.latents));
    EXPECT_TRUE(same_bytes(a.token_ids, b.token_ids));
}

class LoaderBatch : public testing::TestWithParam<int64_t> {};

TEST_P(LoaderBatch, EachEpochVisitsEveryPictureItsRepeats) {
    const BucketedDataset data = some_data();
    Loader loader(data, some_options(data, GetParam()), source_of(data));
    int64_t largest = 0;
    std::map<std::pair<int64_t, int64_t>, int64_t> visits;
    int64_t updates = 0;
    for (const Batch& batch : all_batches(loader)) {
        EXPECT_EQ(batch.step, updates);
        largest = std::max(largest, batch.size());
        updates += batch.is_update ? 1 : 0;
        EXPECT_EQ(batch.latents.shape(),
                  (Shape{batch.size(), 4, batch.bucket.height_px / 8, batch.bucket.width_px / 8}));
        EXPECT_EQ(batch.token_ids.shape(), (Shape{batch.size(), 3, 77}));
        const int64_t plane = batch.latents.num_elements() / batch.size();
        for (int64_t i = 0; i < batch.size(); ++i) {
            const auto n = static_cast<size_t>(i);
            ++visits[{batch.epoch, batch.image_idx[n]}];
            const float expected =
                static_cast<float>(batch.image_idx[n]) + (batch.flipped[n] ? 0.5F : 0.0F);
            EXPECT_EQ(batch.latents.data<float>()[static_cast<size_t>(i * plane)], expected);
            EXPECT_EQ(batch.loss_weights.data<float>()[n], batch.image_idx[n] == 6 ? 0.5F : 1.0F);
        }
    }
    EXPECT_EQ(updates, some_options(data, GetParam()).plan.max_train_steps);
    EXPECT_EQ(largest, GetParam());
    for (int64_t epoch = 1; epoch <= 3; ++epoch) {
        for (int64_t image = 0; image < 7; ++image)
            EXPECT_EQ((visits[{epoch, image}]), 1 + image % 3);
    }
}

INSTANTIATE_TEST_SUITE_P(Sizes, LoaderBatch, testing::Values(1, 2, 4));

TEST(Loader, StartedAnywhereGivesTheSameBatches) {
    const BucketedDataset data = some_data();
    Loader whole(data, some_options(data), source_of(data));
    const std::vector<Batch> expected = all_batches(whole);
    const int64_t per_epoch = data.num_batches(2);
    ASSERT_EQ(std::ssize(expected), 3 * per_epoch);
    for (int64_t start = 0; start < std::ssize(expected); ++start) {
        LoaderOptions options = some_options(data);
        options.first_epoch = 1 + start / per_epoch;
        options.first_batch_idx = start % per_epoch;
        options.batches_ahead = 1 + static_cast<size_t>(start % 3);
        Loader resumed(data, options, source_of(data));
        const std::vector<Batch> got = all_batches(resumed);
        ASSERT_EQ(std::ssize(got), std::ssize(expected) - start);
        for (size_t i = 0; i < got.size(); ++i)
            expect_same(got[i], expected[i + static_cast<size_t>(start)]);
    }
}

TEST(Loader, FlipsBothWaysAndCaptionsVary) {
    const BucketedDataset data = some_data();
    Loader loader(data, some_options(data), source_of(data));
    int64_t flipped = 0;
    int64_t total = 0;
    for (const Batch& batch : all_batches(loader)) {
        for (const bool f : batch.flipped) flipped += f ? 1 : 0;
        total += batch.size();
    }
    EXPECT_GT(flipped, total / 5);
    EXPECT_LT(flipped, total * 4 / 5);
}

// What is measured is asked as it is, also where a described folder says otherwise.
TEST(Loader, PlainWhateverTheFolderSays) {
    BucketedDataset data = some_data();
    SubsetOptions own;
    own.caption.shuffle_caption = true;
    own.caption.caption_dropout_rate = 0.5;
    own.caption.caption_dropout_every_n_epochs = 1;
    own.caption.caption_tag_dropout_rate = 0.5;
    own.caption.token_warmup_step = 100;
    own.caption.caption_prefix = "sticker,";
    own.augment.flip_aug = true;
    data.dataset.folders.push_back({.options = own});
    LoaderOptions options = some_options(data);
    options.never_flips = true;
    options.plain_captions = true;
    Loader loader(data, options, source_of(data));
    for (const Batch& batch : all_batches(loader)) {
        for (size_t i = 0; i < batch.captions.size(); ++i) {
            EXPECT_FALSE(batch.flipped[i]);
            EXPECT_EQ(batch.captions[i],
                      "sticker, tag" + std::to_string(batch.image_idx[i]) +
                          ", red circle, smile, blue background");
        }
    }
}

TEST(Loader, StopsInsideAnEpochAtTheLastStep) {
    const BucketedDataset data = some_data();
    LoaderOptions options = some_options(data);
    options.plan =
        plan_steps(data.num_batches(2), {.gradient_accumulation_steps = 2, .max_train_steps = 2});
    Loader loader(data, options, source_of(data));
    EXPECT_EQ(std::ssize(all_batches(loader)), 4);
}

TEST(Loader, ErrorsOfTheSourceReachTheConsumer) {
    const BucketedDataset data = some_data();
    Loader loader(data, some_options(data), [](int64_t, bool) -> Tensor {
        throw Error(ErrorCode::kIo, "gone");
    });
    EXPECT_THROW(static_cast<void>(loader.next()), Error);
}

TEST(Loader, CanBeLeftBeforeTheEnd) {
    const BucketedDataset data = some_data();
    Loader loader(data, some_options(data), source_of(data));
    EXPECT_TRUE(loader.next());
}

// Weights stand where the joined context has their tokens; brackets are no words then.
TEST(Loader, WeightsOfCaptions) {
    const auto batch_of = [](const std::string& caption, bool weighted) {
        BucketedDataset data = some_data();
        for (ImageEntry& image : data.dataset.images) image.caption = caption;
        LoaderOptions options = some_options(data);
        options.weighted_captions = weighted;
        options.chunks.max_token_length = 150;
        options.caption = {};
        return BatchMaker(data, options, source_of(data)).make(1, 0);
    };
    EXPECT_EQ(batch_of("red circle", false).token_weights.shape().num_axes(), 0);
    const Batch weighted = batch_of("red (circle:1.5) [smile]", true);
    ASSERT_EQ(weighted.token_weights.shape(), (Shape{2, 152}));
    EXPECT_TRUE(same_bytes(weighted.token_ids, batch_of("red circle smile", false).token_ids));
    const std::span<const float> weights = weighted.token_weights.data<float>();
    for (const size_t row : {size_t{0}, size_t{152}}) {
        EXPECT_EQ(weights[row], 1);
        EXPECT_EQ(weights[row + 1], 1);
        EXPECT_FLOAT_EQ(weights[row + 2], 1.5F);
        EXPECT_FLOAT_EQ(weights[row + 3], 1 / 1.1F);
        for (size_t i = 4; i < 152; ++i) EXPECT_EQ(weights[row + i], 1);
    }
    // Cut where the caption is: the token behind the 150th counts nowhere, the end token as one.
    std::string longest;
    for (int i = 0; i < 200; ++i) longest += "red ";
    const Batch cut = batch_of("(" + longest + ":1.2)", true);
    EXPECT_FLOAT_EQ(cut.token_weights.data<float>()[150], 1.2F);
    EXPECT_EQ(cut.token_weights.data<float>()[151], 1);
}

}  // namespace
}  // namespace lora::data
