#include "text/prompt_weights.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lora::text {
namespace {

std::string parsed(std::string_view prompt) {
    std::string out;
    for (const WeightedText& part : parse_prompt_weights(prompt)) {
        out += fmt::format("{}|{:.4g};", part.text, part.weight);
    }
    return out;
}

TEST(PromptWeights, BracketsAndNumbers) {
    EXPECT_EQ(parsed("a cat"), "a cat|1;");
    EXPECT_EQ(parsed("a (cat)"), "a |1;cat|1.1;");
    EXPECT_EQ(parsed("a ((cat)) b"), "a |1;cat|1.21; b|1;");
    EXPECT_EQ(parsed("[cat], dog"), "cat|0.9091;, dog|1;");
    EXPECT_EQ(parsed("(cat:1.3), dog"), "cat|1.3;, dog|1;");
    EXPECT_EQ(parsed("(cat:-0.5)"), "cat|-0.5;");
    EXPECT_EQ(parsed("(a (b:2) c:1.5)"), "a |1.5;b|3; c|1.5;");
    EXPECT_EQ(parsed("(a)(b)"), "ab|1.1;");
}

TEST(PromptWeights, WhatIsNoWeightStays) {
    EXPECT_EQ(parsed("smile :)"), "smile :)|1;");
    EXPECT_EQ(parsed(R"(cat \(animal\))"), "cat (animal)|1;");
    EXPECT_EQ(parsed("ratio 3:4"), "ratio 3:4|1;");
    EXPECT_EQ(parsed("(a:b)"), "a:b|1.1;");
    EXPECT_EQ(parsed("(a:)"), "a:|1.1;");
    EXPECT_EQ(parsed("a]"), "a]|1;");
    EXPECT_EQ(parsed("(open, [still"), "open, |1.1;still|1;");
    EXPECT_EQ(parsed(""), "");
    EXPECT_EQ(parsed("()"), "");
    EXPECT_EQ(parsed("\\"), "\\|1;");
}

TEST(PromptWeights, EveryTokenHasItsWeight) {
    const ClipTokenizer tokenizer;
    const WeightedTokens tokens = encode_weighted(tokenizer, "a photo of a (cat:1.5), sofa");
    EXPECT_EQ(tokens.ids, tokenizer.encode("a photo of a cat, sofa"));
    ASSERT_EQ(tokens.weights.size(), tokens.ids.size());
    EXPECT_EQ(tokens.weights[4], 1.5F);
    EXPECT_EQ(tokens.weights[3], 1.0F);
    EXPECT_EQ(tokens.weights.back(), 1.0F);
}

}  // namespace
}  // namespace lora::text
