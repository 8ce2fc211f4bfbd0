// The quick search answers as comparing with every word does.
#include "tools/near_words.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "tools/tag_classes.h"

namespace lora::tools {
namespace {

// The whole table of distances, as textbooks have it.
int plain_distance(const std::string& a, const std::string& b) {
    std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
    for (size_t i = 0; i <= a.size(); ++i) {
        for (size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                d[i][j] = static_cast<int>(i + j);
                continue;
            }
            d[i][j] = std::min({d[i - 1][j] + 1,
                                d[i][j - 1] + 1,
                                d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a.size()][b.size()];
}

class Words {
public:
    Words() {
        const char* replay = std::getenv("LORA_TEST_SEED");
        seed_ = replay != nullptr ? std::strtoull(replay, nullptr, 10) : 1;
        rng_ = Rng(seed_);
    }
    [[nodiscard]] uint64_t seed() const { return seed_; }
    uint64_t below(uint64_t limit) { return rng_.below(limit); }
    // Few letters, so that many words are near each other.
    std::string word() {
        std::string out(below(9), ' ');
        for (char& c : out) c = "abc \xE3"[below(5)];
        return out;
    }
    std::string misspelt(std::string word, int changes) {
        for (int i = 0; i < changes; ++i) {
            const auto at = below(word.size() + 1);
            const uint64_t kind = below(4);
            if (kind == 0) {
                word.insert(at, 1, "abcz"[below(4)]);
            } else if (at < word.size() && kind == 1) {
                word.erase(at, 1);
            } else if (at < word.size() && kind == 2) {
                word[at] = "abcz"[below(4)];
            } else if (at + 1 < word.size()) {
                std::swap(word[at], word[at + 1]);
            }
        }
        return word;
    }

private:
    uint64_t seed_ = 1;
    Rng rng_{1};
};

TEST(EditDistance, SmallCases) {
    EXPECT_EQ(edit_distance("smile", "smlie", 2), 1);
    EXPECT_EQ(edit_distance("smile", "smile", 2), 0);
    EXPECT_EQ(edit_distance("smile", "smile", 0), 0);
    EXPECT_EQ(edit_distance("smile", "smale", 0), 1);
    EXPECT_EQ(edit_distance("twintails", "twintial", 2), 2);
    EXPECT_EQ(edit_distance("abc", "abcdefg", 2), 3);
    EXPECT_EQ(edit_distance("", "a", 2), 1);
}

TEST(EditDistance, EqualsTheWholeTable) {
    Words words;
    SCOPED_TRACE(words.seed());
    for (int i = 0; i < 20000; ++i) {
        const std::string a = words.word();
        const std::string b =
            i % 2 == 0 ? words.word() : words.misspelt(a, static_cast<int>(words.below(4)));
        for (const int limit : {0, 1, 2, 4}) {
            ASSERT_EQ(edit_distance(a, b, limit), std::min(plain_distance(a, b), limit + 1))
                << '"' << a << "\" \"" << b << "\" " << limit;
        }
    }
}

TEST(NearWords, EqualsComparingWithEveryWord) {
    Words words;
    SCOPED_TRACE(words.seed());
    NearWords near;
    std::vector<std::string> all;
    for (int i = 0; i < 400; ++i) {
        all.push_back(words.word());
        near.add(all.back());
    }
    size_t found = 0;
    for (int i = 0; i < 300; ++i) {
        const std::string wanted = words.misspelt(all[words.below(all.size())], i % 4);
        for (const int limit : {0, 1, 2}) {
            std::vector<int> distances(all.size(), limit + 1);
            for (const NearWords::Hit& hit : near.within(wanted, limit)) {
                ASSERT_EQ(distances[hit.number], limit + 1) << "told twice";
                distances[hit.number] = hit.distance;
                EXPECT_EQ(near.word(hit.number), all[hit.number]);
                ++found;
            }
            for (size_t k = 0; k < all.size(); ++k) {
                ASSERT_EQ(distances[k], std::min(plain_distance(wanted, all[k]), limit + 1))
                    << '"' << wanted << "\" \"" << all[k] << "\" " << limit;
            }
        }
    }
    EXPECT_GT(found, 1000U);
}

TEST(NearWords, TheNearestTagOfTheTable) {
    const TagClasses classes;
    EXPECT_EQ(classes.nearest("twintials"), "twintails");
    EXPECT_EQ(classes.nearest("school unifrom"), "school uniform");
    EXPECT_EQ(classes.nearest("Looking_at_veiwer"), "looking at viewer");
    EXPECT_EQ(classes.nearest("smile"), "");  // it is one
    EXPECT_EQ(classes.nearest("zorpification"), "");
    EXPECT_EQ(classes.nearest("x12"), "");
}

}  // namespace
}  // namespace lora::tools
