#include "text/token_chunks.h"

#include <numeric>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/clip_tokenizer.h"

namespace lora::text {
namespace {

std::vector<int32_t> made_up_ids(int64_t count) {
    std::vector<int32_t> ids(static_cast<size_t>(count));
    std::iota(ids.begin(), ids.end(), 1000);
    return ids;
}

TEST(TokenChunks, EqualsEveryGoldenCase) {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/token_chunks.json";
    const Json golden = parse_json(read_text_file(path), path);
    ASSERT_GT(golden.at("cases").size(), 10U);
    for (const Json& row : golden.at("cases")) {
        ChunkOptions options;
        if (!row.at("max_token_length").is_null()) {
            options.max_token_length = row.at("max_token_length").get<int64_t>();
        }
        if (row.at("model") == "sd2") options.family = TextEncoderFamily::kSD2;
        const auto ids = made_up_ids(row.at("caption_tokens").get<int64_t>());
        EXPECT_EQ(training_chunks(ids, options),
                  row.at("chunks").get<std::vector<std::vector<int32_t>>>())
            << row.at("model") << " " << options.max_token_length << " " << ids.size();
    }
}

TEST(TokenChunks, LengthMustBeAMultipleOf75) {
    const std::vector<int32_t> ids;
    EXPECT_THROW(static_cast<void>(training_chunks(ids, {.max_token_length = 77})), Error);
    EXPECT_THROW(static_cast<void>(training_chunks(ids, {.max_token_length = 0})), Error);
}

TEST(TokenChunks, SamplingTakesAsManyWindowsAsNeeded) {
    EXPECT_EQ(sampling_chunks(made_up_ids(0)).size(), 1U);
    EXPECT_EQ(sampling_chunks(made_up_ids(75)).size(), 1U);
    const auto two = sampling_chunks(made_up_ids(76));
    ASSERT_EQ(two.size(), 2U);
    EXPECT_EQ(two[0][75], 1074);
    EXPECT_EQ(two[0][76], kEosToken);
    EXPECT_EQ(two[1][0], kBosToken);
    EXPECT_EQ(two[1][1], 1075);
    EXPECT_EQ(two[1][2], kEosToken);
    const auto padded = sampling_chunks(made_up_ids(3), TextEncoderFamily::kSD2, 2);
    ASSERT_EQ(padded.size(), 2U);
    EXPECT_EQ(padded[1][1], kEosToken);
    EXPECT_EQ(padded[1][2], 0);
}

}  // namespace
}  // namespace lora::text
