#include "data/bucket.h"

#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"

namespace lora::data {
namespace {

const Json& golden() {
    static const Json kGolden = [] {
        const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/buckets.json";
        return parse_json(read_text_file(path), path);
    }();
    return kGolden;
}

BucketOptions options_of(const Json& row) {
    BucketOptions o;
    o.resolution = {row.at("resolution")[0].get<int64_t>(), row.at("resolution")[1].get<int64_t>()};
    o.enable_bucket = row.value("enable_bucket", true);
    o.min_bucket_reso_px = row.value("min_bucket_reso", int64_t{256});
    o.max_bucket_reso_px = row.value("max_bucket_reso", int64_t{1024});
    o.bucket_reso_steps_px = row.value("bucket_reso_steps", int64_t{64});
    o.no_upscale = row.value("bucket_no_upscale", false);
    return o;
}

void expect_list(const BucketOptions& options, const Json& expected) {
    const std::vector<ImageSize> sizes = list_buckets(options);
    ASSERT_EQ(sizes.size(), expected.size()) << to_string(options.resolution);
    for (size_t i = 0; i < sizes.size(); ++i) {
        EXPECT_EQ(sizes[i].width_px, expected[i][0].get<int64_t>()) << i;
        EXPECT_EQ(sizes[i].height_px, expected[i][1].get<int64_t>()) << i;
    }
}

TEST(Bucket, ListsEqualBothVersions) {
    for (const Json& row : golden().at("bucket_lists")) {
        BucketOptions options = options_of(row);
        const bool same = row.at("same_in_both_versions").get<bool>();
        expect_list(options, row.at(same ? "buckets" : "buckets_newest"));
        options.rule = BucketRule::kV065;
        expect_list(options, row.at(same ? "buckets" : "buckets_v0.6.5"));
    }
}

void expect_row(const BucketChooser& chooser, const Json& row) {
    const ImageSize image = {row[0].get<int64_t>(), row[1].get<int64_t>()};
    const BucketChoice choice = chooser.choose(image);
    if (row[2] == "error") {
        EXPECT_EQ(choice.bucket.height_px, 0) << to_string(image);
        return;
    }
    const std::vector<int64_t> got = {choice.bucket.width_px,
                                      choice.bucket.height_px,
                                      choice.resized.width_px,
                                      choice.resized.height_px,
                                      choice.crop_left_px,
                                      choice.crop_top_px};
    for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i], row[i + 2].get<int64_t>()) << to_string(image) << " column " << i;
    }
    EXPECT_EQ(choice.ar_error, row[8].get<double>()) << to_string(image);
}

// Not all golden options are allowed for training (600 px, 8 px steps): unchecked choosers.
TEST(Bucket, ChoicesEqualEveryGoldenRow) {
    int64_t rows_checked = 0;
    for (const Json& selection : golden().at("selections")) {
        for (const char* key : {"rows", "rows_newest", "rows_v0.6.5"}) {
            if (!selection.contains(key)) continue;
            BucketOptions options = options_of(selection);
            if (std::string_view(key) == "rows_v0.6.5") options.rule = BucketRule::kV065;
            const BucketChooser chooser = BucketChooser::unchecked(options);
            for (const Json& row : selection.at(key)) {
                expect_row(chooser, row);
                ++rows_checked;
            }
        }
    }
    EXPECT_GT(rows_checked, 1000);
}

TEST(Bucket, WrongOptionsAreNamed) {
    const auto first = [](const BucketOptions& o) {
        const Diagnostics list = check_bucket_options(o);
        return list.empty() ? std::string() : list.front().place;
    };
    EXPECT_EQ(first({}), "");
    EXPECT_EQ(first({.resolution = {500, 500}}), "resolution");
    EXPECT_EQ(first({.resolution = {0, 512}}), "resolution");
    EXPECT_EQ(first({.resolution = {512, -64}}), "resolution");
    EXPECT_EQ(first({.bucket_reso_steps_px = 32}), "bucket_reso_steps");
    EXPECT_EQ(first({.bucket_reso_steps_px = 0}), "bucket_reso_steps");
    EXPECT_EQ(first({.min_bucket_reso_px = 640}), "min_bucket_reso");
    EXPECT_EQ(first({.max_bucket_reso_px = 448}), "max_bucket_reso");
    EXPECT_EQ(
        first({.resolution = {128, 128}, .min_bucket_reso_px = 64, .max_bucket_reso_px = 256}), "");
    EXPECT_EQ(first({.enable_bucket = false, .min_bucket_reso_px = 640}), "");
    try {
        const BucketChooser chooser({.resolution = {500, 500}});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kConfig);
        EXPECT_NE(error.message().find("resolution 500x500"), std::string::npos);
        EXPECT_EQ(error.hint(), "use 512,512");
    }
}

// Laws: buckets are multiples of 64, hold at most the area, cover no more than the resized picture,
// and mirrored pictures get mirrored buckets' sizes.
TEST(Bucket, LawsHoldForAnyPicture) {
    const char* replay = std::getenv("LORA_TEST_SEED");
    const uint64_t seed = replay != nullptr ? std::strtoull(replay, nullptr, 10) : 77;
    Rng rng(seed, RngStream::kTest);
    for (int round = 0; round < 3000; ++round) {
        BucketOptions options;
        options.resolution = {static_cast<int64_t>(4 + rng.below(9)) * 64,
                              static_cast<int64_t>(4 + rng.below(9)) * 64};
        options.no_upscale = rng.below(3) == 0;
        const BucketChooser chooser(options);
        const ImageSize image = {static_cast<int64_t>(64 + rng.below(4000)),
                                 static_cast<int64_t>(64 + rng.below(4000))};
        const BucketChoice c = chooser.choose(image);
        if (options.no_upscale && (c.bucket.width_px == 0 || c.bucket.height_px == 0)) continue;
        const int64_t area = options.resolution.width_px * options.resolution.height_px;
        ASSERT_EQ(c.bucket.width_px % 64, 0) << "seed " << seed;
        ASSERT_EQ(c.bucket.height_px % 64, 0) << "seed " << seed;
        ASSERT_LE(c.bucket.width_px * c.bucket.height_px, area) << "seed " << seed;
        ASSERT_GE(c.resized.width_px, c.bucket.width_px) << to_string(image) << " seed " << seed;
        ASSERT_GE(c.resized.height_px, c.bucket.height_px) << to_string(image) << " seed " << seed;
        ASSERT_LE(c.crop_left_px + c.bucket.width_px, c.resized.width_px) << "seed " << seed;
        ASSERT_LE(c.crop_top_px + c.bucket.height_px, c.resized.height_px) << "seed " << seed;
        if (options.no_upscale) {
            ASSERT_LE(c.resized.width_px, image.width_px) << "seed " << seed;
        }
    }
}

}  // namespace
}  // namespace lora::data
