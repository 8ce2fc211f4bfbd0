#include "data/caption.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace lora::data {
namespace {

// Leaves the order alone, drops nothing, takes the first alternative, and remembers.
class RecordingRandom : public CaptionRandom {
public:
    void shuffle(std::vector<std::string>& tags) override { shuffled = tags; }
    std::string choose(const std::vector<std::string>& alternatives) override {
        offered.push_back(alternatives);
        return alternatives.front();
    }
    double uniform() override { return 0.999999; }

    std::optional<std::vector<std::string>> shuffled;
    std::vector<std::vector<std::string>> offered;
};

struct Case {
    CaptionOptions options;
    CaptionPlace place;
};

Case case_of(const Json& defaults, const Json& row) {
    Json o = defaults;
    o.update(row.at("options"));
    Case c;
    c.options.shuffle_caption = o.at("shuffle_caption").get<bool>();
    c.options.keep_tokens = o.at("keep_tokens").get<int64_t>();
    c.options.caption_separator = o.at("caption_separator").get<std::string>();
    c.options.keep_tokens_separator = o.value("keep_tokens_separator", "");
    c.options.secondary_separator = o.value("secondary_separator", "");
    c.options.caption_dropout_every_n_epochs =
        o.value("caption_dropout_every_n_epochs", int64_t{0});
    c.options.caption_tag_dropout_rate = o.value("caption_tag_dropout_rate", 0.0);
    c.options.token_warmup_min = o.value("token_warmup_min", int64_t{1});
    c.options.token_warmup_step = o.value("token_warmup_step", 0.0);
    c.options.enable_wildcard = o.value("enable_wildcard", false);
    c.options.caption_prefix = o.value("caption_prefix", "");
    c.options.caption_suffix = o.value("caption_suffix", "");
    c.place = {.epoch = o.at("current_epoch").get<int64_t>(),
               .step = o.at("current_step").get<int64_t>(),
               .max_train_steps = o.at("max_train_steps").get<int64_t>()};
    return c;
}

TEST(Caption, EqualsEveryGoldenCase) {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/captions.json";
    const Json golden = parse_json(read_text_file(path), path);
    ASSERT_GT(golden.at("cases").size(), 40U);
    for (const Json& row : golden.at("cases")) {
        const Case c = case_of(golden.at("defaults"), row);
        RecordingRandom random;
        const auto caption = row.at("caption").get<std::string>();
        EXPECT_EQ(process_caption(caption, c.options, c.place, random),
                  row.at("result_without_reordering").get<std::string>())
            << row.dump();
        EXPECT_EQ(random.shuffled.has_value(), !row.at("flexible").is_null()) << row.dump();
        if (random.shuffled) {
            EXPECT_EQ(*random.shuffled, row.at("flexible").get<std::vector<std::string>>())
                << row.dump();
        }
        if (row.contains("wildcard_alternatives_offered")) {
            EXPECT_EQ(random.offered,
                      row.at("wildcard_alternatives_offered")
                          .get<std::vector<std::vector<std::string>>>())
                << row.dump();
        }
    }
}

TEST(Caption, DropoutRatesOfOneDropEverything) {
    PhiloxCaptionRandom random(1, 1, 1);
    EXPECT_EQ(process_caption("a, b", {.caption_dropout_rate = 1}, {}, random), "");
    EXPECT_EQ(
        process_caption("a, b, c", {.keep_tokens = 1, .caption_tag_dropout_rate = 1}, {}, random),
        "a");
}

TEST(Caption, ShuffledTagsCanBeLimited) {
    PhiloxCaptionRandom random(1, 1, 1);
    const std::string out =
        process_caption("k, a, b, c, d, e, f",
                        {.shuffle_caption = true, .keep_tokens = 1, .max_shuffled_tags = 4},
                        {},
                        random);
    EXPECT_EQ(split(out, ", ").size(), 5U);
    EXPECT_TRUE(out.starts_with("k, "));
}

std::vector<std::string> sorted_tags(const std::string& caption) {
    std::vector<std::string> tags = split(caption, ", ");
    std::sort(tags.begin(), tags.end());
    return tags;
}

// Shuffling permutes, keeps the kept tags in front, and depends on the key alone.
TEST(Caption, ShufflesArePermutationsKeyedByTheDraw) {
    const char* replay = std::getenv("LORA_TEST_SEED");
    const uint64_t seed = replay != nullptr ? std::strtoull(replay, nullptr, 10) : 5;
    const std::string caption = "t0, t1, t2, t3, t4, t5, t6, t7";
    int64_t different = 0;
    for (uint32_t sample = 0; sample < 200; ++sample) {
        const CaptionOptions options = {.shuffle_caption = true, .keep_tokens = sample % 4};
        const int64_t epoch = 1 + sample % 3;
        PhiloxCaptionRandom first(seed, epoch, sample);
        PhiloxCaptionRandom again(seed, epoch, sample);
        PhiloxCaptionRandom other(seed, epoch + 1, sample);
        const std::string out = process_caption(caption, options, {}, first);
        EXPECT_EQ(out, process_caption(caption, options, {}, again)) << "seed " << seed;
        different += out != process_caption(caption, options, {}, other) ? 1 : 0;
        EXPECT_EQ(sorted_tags(out), sorted_tags(caption)) << "seed " << seed;
        const auto kept = static_cast<size_t>(options.keep_tokens);
        EXPECT_EQ(out.substr(0, kept * 4), caption.substr(0, kept * 4)) << "seed " << seed;
    }
    EXPECT_GT(different, 180) << "seed " << seed;
}

// M79: over the epochs every tag comes to every place equally often, behind those that are kept.
TEST(Caption, ShufflesAreEven) {
    const CaptionOptions options = {.shuffle_caption = true, .keep_tokens = 1};
    constexpr int64_t kDraws = 3000;
    std::map<std::pair<std::string, size_t>, int64_t> seen;
    for (int64_t epoch = 1; epoch <= kDraws; ++epoch) {
        PhiloxCaptionRandom random(3, epoch, 0);
        const auto tags = split(process_caption("kept, a, b, c", options, {}, random), ", ");
        ASSERT_EQ(tags.size(), 4U);
        for (size_t place = 0; place < 4; ++place) ++seen[{tags[place], place}];
    }
    EXPECT_EQ((seen[{"kept", 0}]), kDraws);
    for (const char* tag : {"a", "b", "c"}) {
        for (size_t place = 1; place < 4; ++place) {
            // 1000 of 3000, give or take six standard deviations.
            EXPECT_NEAR(static_cast<double>(seen[{tag, place}]), 1000, 155) << tag << place;
        }
    }
}

}  // namespace
}  // namespace lora::data
