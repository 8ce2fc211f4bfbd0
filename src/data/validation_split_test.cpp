#include "data/validation_split.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"

namespace lora::data {
namespace {

std::vector<ImageEntry> pictures(int64_t folder, int count) {
    std::vector<ImageEntry> images;
    images.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
        images.push_back({.path = std::to_string(folder) + "/" + std::to_string(i),
                          .repeats = 7,
                          .folder_idx = folder});
    }
    return images;
}

TEST(ValidationSplit, SizesAreThoseOfSdScripts) {
    EXPECT_EQ(split_sizes(10, 0.1).train, 9);
    EXPECT_EQ(split_sizes(10, 0.1).validation, 1);
    EXPECT_EQ(split_sizes(7, 0.5).train, 4);
    EXPECT_EQ(split_sizes(7, 0.5).validation, 4);  // 3.5 to the even 4: one picture in both
    EXPECT_EQ(split_sizes(5, 0.5).validation, 2);
    EXPECT_EQ(split_sizes(3, 0.1).validation, 0);
}

TEST(ValidationSplit, EveryFolderGivesItsShareAndTheSeedDecides) {
    const std::vector<ConceptFolder> folders(2);
    std::vector<ImageEntry> images = pictures(0, 10);
    for (ImageEntry& image : pictures(1, 20)) images.push_back(image);
    std::vector<ImageEntry> again = images;
    const std::vector<ImageEntry> all = images;
    const std::vector<ImageEntry> set_aside = split_validation(images, folders, 0.2, 5);
    EXPECT_EQ(images.size(), 24U);
    ASSERT_EQ(set_aside.size(), 6U);
    std::set<std::string> names;
    for (const ImageEntry& image : images) names.insert(image.path);
    for (const ImageEntry& image : set_aside) {
        EXPECT_EQ(image.repeats, 1);
        EXPECT_TRUE(names.insert(image.path).second) << image.path << " is in both";
    }
    EXPECT_EQ(names.size(), all.size());
    EXPECT_TRUE(std::is_sorted(images.begin(), images.end(), [&](const auto& a, const auto& b) {
        const auto place = [&](const ImageEntry& image) {
            return std::find_if(all.begin(), all.end(), [&](const ImageEntry& other) {
                return other.path == image.path;
            });
        };
        return place(a) < place(b);
    }));
    const auto first_names = [](const std::vector<ImageEntry>& list) {
        std::vector<std::string> found;
        found.reserve(list.size());
        for (const ImageEntry& image : list) found.push_back(image.path);
        return found;
    };
    std::vector<ImageEntry> other = again;
    EXPECT_EQ(first_names(split_validation(again, folders, 0.2, 5)), first_names(set_aside));
    EXPECT_NE(first_names(split_validation(other, folders, 0.2, 6)), first_names(set_aside));
}

TEST(ValidationSplit, RefusesSharesThatLeaveNothing) {
    const std::vector<ConceptFolder> folders(1);
    std::vector<ImageEntry> images = pictures(0, 3);
    EXPECT_THROW((void)split_validation(images, folders, 0, 1), Error);
    EXPECT_THROW((void)split_validation(images, folders, 1, 1), Error);
}

}  // namespace
}  // namespace lora::data
