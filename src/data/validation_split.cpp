#include "data/validation_split.h"

#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"

namespace lora::data {

SplitSizes split_sizes(int64_t count, double share) {
    const auto n = static_cast<double>(count);
    return {static_cast<int64_t>(std::ceil(n * (1.0 - share))),
            static_cast<int64_t>(std::nearbyint(n * share))};
}

std::vector<ImageEntry> split_validation(std::vector<ImageEntry>& images,
                                         const std::vector<ConceptFolder>& folders,
                                         double share,
                                         uint64_t seed) {
    if (!(share > 0 && share < 1)) {
        throw Error(ErrorCode::kConfig, fmt::format("validation_split is {}", share))
            .with_hint("a share between 0 and 1, for example 0.1");
    }
    std::vector<ImageEntry> validation;
    std::vector<bool> is_kept(images.size(), false);
    std::vector<std::vector<size_t>> members_of(folders.size());
    for (size_t i = 0; i < images.size(); ++i) {
        members_of[static_cast<size_t>(images[i].folder_idx)].push_back(i);
    }
    for (size_t folder = 0; folder < folders.size(); ++folder) {
        std::vector<size_t>& members = members_of[folder];
        if (members.empty()) continue;
        const SplitSizes sizes = split_sizes(std::ssize(members), share);
        if (sizes.train == 0) {
            throw Error(ErrorCode::kData,
                        fmt::format("validation_split {} leaves no picture of {} to train",
                                    share,
                                    folders[folder].name))
                .with_hint("lower validation_split");
        }
        // Epoch 0 shuffles nothing else.
        Rng(seed, RngStream::kShuffle, 0, narrow<uint32_t>(static_cast<int64_t>(folder) + 1))
            .shuffle(members);
        for (int64_t i = 0; i < sizes.train; ++i) is_kept[members[static_cast<size_t>(i)]] = true;
        for (int64_t i = 0; i < sizes.validation; ++i) {
            ImageEntry image = images[members[members.size() - 1 - static_cast<size_t>(i)]];
            image.repeats = 1;
            validation.push_back(std::move(image));
        }
    }
    std::vector<ImageEntry> kept;
    for (size_t i = 0; i < images.size(); ++i) {
        if (is_kept[i]) kept.push_back(std::move(images[i]));
    }
    images = std::move(kept);
    return validation;
}

}  // namespace lora::data
