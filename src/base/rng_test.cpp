#include "base/rng.h"

#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace lora {
namespace {

using Words = std::array<uint32_t, 4>;

// Source: known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, GivesThePublishedAnswers) {
    EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
              (Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
    constexpr uint32_t kOnes = 0xFFFFFFFF;
    EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              (Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
    EXPECT_EQ(
        philox4x32({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
        (Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Rng, StreamsOfOneSeedNeverMeet) {
    std::set<uint64_t> seen;
    size_t drawn = 0;
    for (const uint64_t seed : {0ULL, 1ULL, 1ULL << 32}) {
        for (const RngStream purpose :
             {RngStream::kLoraInit, RngStream::kNoise, RngStream::kTimestep}) {
            for (const uint64_t a : {0ULL, 1ULL, 1ULL << 32}) {
                for (const uint32_t b : {0U, 1U, 2U}) {
                    Rng rng(seed, purpose, a, b);
                    for (int i = 0; i < 16; ++i, ++drawn) seen.insert(rng.next_u64());
                }
            }
        }
    }
    EXPECT_EQ(seen.size(), drawn);
}

TEST(Rng, RepeatsAndCopies) {
    Rng first(5, RngStream::kNoise, 3, 2);
    Rng second(5, RngStream::kNoise, 3, 2);
    for (int i = 0; i < 7; ++i) EXPECT_EQ(first.next_u32(), second.next_u32());
    EXPECT_EQ(first.normal(), second.normal());
    Rng copy = first;
    EXPECT_EQ(copy.normal(), first.normal());
    EXPECT_EQ(copy.next_u64(), first.next_u64());
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
    std::vector<float> values(200000);
    Rng(9).fill_normal(values);
    double sum = 0;
    double squares = 0;
    double fourth = 0;
    for (const float value : values) {
        sum += value;
        squares += static_cast<double>(value) * value;
        fourth += std::pow(value, 4);
    }
    const auto n = static_cast<double>(values.size());
    // Five standard errors: 1, sqrt(2) and sqrt(96) over sqrt(n).
    EXPECT_NEAR(sum / n, 0, 5 / std::sqrt(n));
    EXPECT_NEAR(squares / n, 1, 5 * std::sqrt(2 / n));
    EXPECT_NEAR(fourth / n, 3, 5 * std::sqrt(96 / n));
}

TEST(Rng, BelowIsEvenAndShuffleKeepsAll) {
    Rng rng(4);
    std::vector<int> counts(7);
    for (int i = 0; i < 70000; ++i) ++counts[rng.below(7)];
    for (const int count : counts) EXPECT_NEAR(count, 10000, 500);  // five standard deviations: 463
    EXPECT_EQ(rng.below(1), 0U);
    std::vector<int> items = {1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<int> before = items;
    rng.shuffle(items);
    EXPECT_NE(items, before);
    EXPECT_EQ(std::multiset<int>(items.begin(), items.end()),
              std::multiset<int>(before.begin(), before.end()));
    const float u = rng.uniform();
    EXPECT_GE(u, 0.0F);
    EXPECT_LT(u, 1.0F);
}

}  // namespace
}  // namespace lora
