#include "data/epoch_plan.h"

#include <cstdlib>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"
#include "data/steps.h"

namespace lora::data {
namespace {

Dataset random_dataset(Rng& rng) {
    Dataset dataset;
    const auto count = static_cast<int64_t>(1 + rng.below(40));
    for (int64_t i = 0; i < count; ++i) {
        ImageEntry image;
        image.path = "p" + std::to_string(i);
        image.size = {static_cast<int64_t>(100 + rng.below(1500)),
                      static_cast<int64_t>(100 + rng.below(1500))};
        image.repeats = static_cast<int64_t>(1 + rng.below(6));
        dataset.images.push_back(image);
    }
    return dataset;
}

TEST(EpochPlan, EveryPictureComesExactlyItsRepeats) {
    const char* replay = std::getenv("LORA_TEST_SEED");
    const uint64_t seed = replay != nullptr ? std::strtoull(replay, nullptr, 10) : 11;
    Rng rng(seed, RngStream::kTest);
    const BucketChooser chooser({});
    for (int round = 0; round < 60; ++round) {
        const BucketedDataset data = assign_buckets(random_dataset(rng), chooser);
        const auto batch_size = static_cast<int64_t>(1 + rng.below(7));
        const auto epoch = static_cast<int64_t>(1 + rng.below(9));
        const auto batches = plan_epoch(data, batch_size, seed, epoch);
        ASSERT_EQ(std::ssize(batches), data.num_batches(batch_size)) << "seed " << seed;
        std::map<int64_t, int64_t> visits;
        std::map<int64_t, int64_t> short_batches;
        for (const BatchPlan& batch : batches) {
            ASSERT_LE(std::ssize(batch.slots), batch_size);
            short_batches[batch.bucket_idx] += std::ssize(batch.slots) < batch_size ? 1 : 0;
            for (const int64_t slot : batch.slots) {
                const int64_t image = data.image_of_slot(slot);
                ++visits[image];
                ASSERT_EQ(data.bucket_idx[static_cast<size_t>(image)], batch.bucket_idx)
                    << "seed " << seed;
            }
        }
        for (size_t i = 0; i < data.dataset.images.size(); ++i) {
            ASSERT_EQ(visits[static_cast<int64_t>(i)], data.dataset.images[i].repeats)
                << "seed " << seed;
        }
        for (const auto& [bucket, count] : short_batches) ASSERT_LE(count, 1) << "seed " << seed;
    }
}

TEST(EpochPlan, OrderDependsOnSeedAndEpochOnly) {
    Rng rng(3, RngStream::kTest);
    const BucketedDataset data = assign_buckets(random_dataset(rng), BucketChooser({}));
    const auto slots = [&](uint64_t seed, int64_t epoch) {
        std::vector<int64_t> out;
        for (const BatchPlan& b : plan_epoch(data, 2, seed, epoch)) {
            out.insert(out.end(), b.slots.begin(), b.slots.end());
        }
        return out;
    };
    EXPECT_EQ(slots(1, 1), slots(1, 1));
    EXPECT_NE(slots(1, 1), slots(1, 2));
    EXPECT_NE(slots(1, 1), slots(2, 1));
}

TEST(EpochPlan, BucketsCountRepeatsAndErrorsDoNot) {
    Dataset dataset;
    dataset.images.resize(3);
    dataset.images[0].size = {512, 512};
    dataset.images[0].repeats = 4;
    dataset.images[1].size = {512, 768};
    dataset.images[2].size = {512, 768};
    dataset.images[2].repeats = 2;
    const BucketedDataset data = assign_buckets(dataset, BucketChooser({}));
    ASSERT_EQ(data.buckets.size(), 2U);
    EXPECT_EQ(data.buckets[0].size, (ImageSize{384, 640}));
    EXPECT_EQ(data.buckets[0].count, 3);
    EXPECT_EQ(data.buckets[1].count, 4);
    // |384/640 - 512/768| twice, 0 once.
    EXPECT_NEAR(data.mean_ar_error, 2 * (512.0 / 768 - 384.0 / 640) / 3, 1e-15);
    EXPECT_EQ(data.num_batches(2), 2 + 2);
    EXPECT_EQ(data.image_of_slot(3), 0);
    EXPECT_EQ(data.image_of_slot(4), 1);
    EXPECT_EQ(data.image_of_slot(6), 2);
}

TEST(EpochPlan, TooSmallPicturesAreNamed) {
    Dataset dataset;
    dataset.images.resize(1);
    dataset.images[0].path = "tiny.png";
    dataset.images[0].size = {52, 600};
    const BucketChooser chooser({.no_upscale = true});
    try {
        static_cast<void>(assign_buckets(dataset, chooser));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kData);
        EXPECT_NE(error.message().find("tiny.png"), std::string::npos);
    }
}

}  // namespace
}  // namespace lora::data
