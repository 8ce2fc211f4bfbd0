#include "backend/cuda/internal/hazards.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

namespace lora::cuda {
namespace {

using Waits = std::vector<int32_t>;

TEST(HazardsTest, ReadersWaitForTheWriterAndTheNextWriterForBoth) {
    Hazards h;
    const ByteRange x{1000, 100};
    EXPECT_EQ(h.add({}, std::vector{x}), Waits{});
    EXPECT_EQ(h.add(std::vector{x}, {}), Waits{0});
    EXPECT_EQ(h.add(std::vector{x}, {}), Waits{0});
    EXPECT_EQ(h.add({}, std::vector{x}), (Waits{1, 2}));
}

TEST(HazardsTest, PartsOfARangeHaveTheirOwnHistory) {
    Hazards h;
    h.add({}, std::vector{ByteRange{0, 100}});
    h.add({}, std::vector{ByteRange{100, 100}});
    EXPECT_EQ(h.add(std::vector{ByteRange{150, 10}}, {}), Waits{1});
    EXPECT_EQ(h.add(std::vector{ByteRange{90, 20}}, {}), (Waits{0, 1}));
    EXPECT_EQ(h.add({}, std::vector{ByteRange{95, 1}}), Waits{3});
    EXPECT_EQ(h.add({}, std::vector{ByteRange{155, 200}}), Waits{2});
}

TEST(HazardsTest, ALaunchMayReadWhatItWrites) {
    Hazards h;
    const ByteRange x{0, 64};
    h.add({}, std::vector{x});
    EXPECT_EQ(h.add(std::vector{x}, std::vector{x}), Waits{0});
    EXPECT_EQ(h.add(std::vector{x}, std::vector{x}), Waits{1});
}

// Against the definition: a launch must come after every earlier one that touches one of its bytes
// when one of the two writes it; nothing else may be waited for.
TEST(HazardsTest, OrdersExactlyWhatSharesWrittenBytes) {
    constexpr int kLaunches = 120;
    constexpr int kBytes = 48;
    for (unsigned seed = 0; seed < 20; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto ranges = [&](int most) {
            std::vector<ByteRange> list;
            for (int i = static_cast<int>(random() % (most + 1)); i > 0; --i) {
                const DevicePtr begin = random() % kBytes;
                list.push_back({begin, 1 + random() % (kBytes - begin) % 9});
            }
            return list;
        };
        Hazards h;
        std::vector<std::set<DevicePtr>> reads(kLaunches), writes(kLaunches);
        std::vector<std::set<int>> after(kLaunches);  // closure of what was answered
        for (int i = 0; i < kLaunches; ++i) {
            const auto read = ranges(3);
            const auto written = ranges(2);
            const auto self = static_cast<size_t>(i);
            for (const ByteRange& r : read) {
                for (DevicePtr b = r.begin; b < r.begin + r.size_bytes; ++b) reads[self].insert(b);
            }
            for (const ByteRange& r : written) {
                for (DevicePtr b = r.begin; b < r.begin + r.size_bytes; ++b) writes[self].insert(b);
            }
            std::set<int> wanted;
            const auto meet = [](const std::set<DevicePtr>& a, const std::set<DevicePtr>& b) {
                return std::any_of(a.begin(), a.end(), [&](DevicePtr x) { return b.contains(x); });
            };
            for (int j = 0; j < i; ++j) {
                const auto other = static_cast<size_t>(j);
                if (meet(reads[self], writes[other]) || meet(writes[self], writes[other]) ||
                    meet(writes[self], reads[other])) {
                    wanted.insert(j);
                    wanted.insert(after[other].begin(), after[other].end());
                }
            }
            for (const int32_t j : h.add(read, written)) {
                after[self].insert(j);
                after[self].insert(after[static_cast<size_t>(j)].begin(),
                                   after[static_cast<size_t>(j)].end());
            }
            EXPECT_EQ(after[self], wanted) << "launch " << i;
        }
    }
}

}  // namespace
}  // namespace lora::cuda
