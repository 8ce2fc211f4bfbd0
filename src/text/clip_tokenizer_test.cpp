#include "text/clip_tokenizer.h"

#include <cstdlib>
#include <map>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "text/internal/clip_merges.h"

namespace lora::text {
namespace {

uint64_t test_seed() {
    const char* value = std::getenv("LORA_TEST_SEED");
    return value != nullptr ? std::strtoull(value, nullptr, 10) : 20240607;
}

TEST(ClipTokenizer, EqualsEveryGoldenLine) {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/clip_tokens.json";
    const Json golden = parse_json(read_text_file(path), path);
    ASSERT_GT(golden.size(), 40U);
    const ClipTokenizer tokenizer;
    for (const Json& row : golden) {
        const auto text = row.at("text").get<std::string>();
        EXPECT_EQ(tokenizer.encode(text), row.at("ids").get<std::vector<int32_t>>()) << text;
    }
}

TEST(ClipTokenizer, SpecialTextsAreCutOutInAnyCase) {
    const ClipTokenizer tokenizer;
    EXPECT_EQ(tokenizer.encode("<|endoftext|>"), std::vector<int32_t>{kEosToken});
    EXPECT_EQ(tokenizer.encode("!<|StartOfText|>!"), (std::vector<int32_t>{256, kBosToken, 256}));
    EXPECT_EQ(tokenizer.encode("<|startoftext").size(), tokenizer.encode("<| startoftext").size());
}

TEST(ClipTokenizer, DecodesWhatItEncoded) {
    const ClipTokenizer tokenizer;
    const std::vector<int32_t> ids = tokenizer.encode("Red  CIRCLE, 東京タワー smile");
    EXPECT_EQ(tokenizer.decode(ids), "red circle , 東京タワー smile");
    EXPECT_EQ(tokenizer.decode_token(736), "red ");
}

// A third way to apply the merge list, without hash table or queue.
std::vector<int32_t> naive_bpe(std::vector<uint32_t> parts) {
    std::map<std::pair<uint32_t, uint32_t>, uint32_t> ranks;
    uint32_t row = 0;
    for (const auto& m : internal::clip_merges()) ranks[{m.left, m.right}] = row++;
    for (;;) {
        uint32_t best = UINT32_MAX;
        for (size_t i = 0; i + 1 < parts.size(); ++i) {
            const auto it = ranks.find({parts[i], parts[i + 1]});
            if (it != ranks.end()) best = std::min(best, it->second);
        }
        if (best == UINT32_MAX) break;
        const internal::Merge merge = internal::clip_merges()[best];
        std::vector<uint32_t> merged;
        for (size_t i = 0; i < parts.size(); ++i) {
            const bool hit =
                i + 1 < parts.size() && parts[i] == merge.left && parts[i + 1] == merge.right;
            merged.push_back(hit ? 512 + best : parts[i]);
            if (hit) ++i;
        }
        parts = merged;
    }
    return {parts.begin(), parts.end()};
}

TEST(ClipTokenizer, WordsOfEveryLengthFollowTheMergeList) {
    const uint64_t seed = test_seed();
    RecordProperty("seed", static_cast<int>(seed));
    const ClipTokenizer tokenizer;
    Rng rng(seed, RngStream::kTest);
    for (const size_t length : {1U, 2U, 7U, 31U, 32U, 33U, 64U, 150U}) {
        std::string word;
        std::vector<uint32_t> parts;
        for (size_t i = 0; i < length; ++i) {
            const auto letter =
                static_cast<char>('a' + static_cast<char>(rng.below(length % 2 == 0 ? 3 : 26)));
            word += letter;
            parts.push_back(static_cast<uint32_t>(letter - '!'));
        }
        parts.back() += 256;
        EXPECT_EQ(tokenizer.encode(word), naive_bpe(parts)) << word << " seed " << seed;
    }
}

TEST(ClipTokenizer, AnyBytesGiveValidIds) {
    const uint64_t seed = test_seed();
    const ClipTokenizer tokenizer;
    Rng rng(seed, RngStream::kTest, 1);
    for (int round = 0; round < 300; ++round) {
        std::string bytes(rng.below(200), ' ');
        for (char& c : bytes) c = static_cast<char>(rng.below(256));
        for (const int32_t id : tokenizer.encode(bytes)) {
            ASSERT_GE(id, 0) << "seed " << seed;
            ASSERT_LT(id, kVocabularySize) << "seed " << seed;
        }
    }
}

TEST(ClipTokenizer, OneLongWordIsNotQuadratic) {
    const ClipTokenizer tokenizer;
    const std::string word(1000000, 'q');
    EXPECT_FALSE(tokenizer.encode(word).empty());
}

}  // namespace
}  // namespace lora::text
