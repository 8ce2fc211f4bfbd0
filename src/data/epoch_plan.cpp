#include "data/epoch_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"
#include "data/steps.h"

namespace lora::data {

namespace {

constexpr int64_t kMaxSlots = 100'000'000;

}  // namespace

int64_t BucketedDataset::image_of_slot(int64_t slot) const {
    LORA_CHECK(slot >= 0 && slot < num_slots());
    const auto next = std::upper_bound(first_slot.begin(), first_slot.end(), slot);
    return next - first_slot.begin() - 1;
}

int64_t BucketedDataset::num_batches(int64_t batch_size) const {
    int64_t total = 0;
    for (const BucketUse& bucket : buckets) {
        total += data::num_batches(bucket.count, bucket.batch(batch_size));
    }
    return total;
}

BucketedDataset assign_buckets(Dataset dataset, const BucketChooser& chooser) {
    BucketedDataset out;
    using Key = std::pair<int64_t, ImageSize>;  // data set and size
    std::map<Key, int64_t> counts;
    std::vector<BucketChooser> choosers;
    for (const DatasetGroup& group : dataset.groups) choosers.emplace_back(group.bucket);
    const auto group_of = [&](const ImageEntry& image) {
        if (choosers.empty()) return int64_t{0};
        return dataset.folders[static_cast<size_t>(image.folder_idx)].dataset_idx;
    };
    out.first_slot.push_back(0);
    for (const ImageEntry& image : dataset.images) {
        const int64_t group = group_of(image);
        const BucketChoice choice = choosers.empty()
                                        ? chooser.choose(image.size)
                                        : choosers[static_cast<size_t>(group)].choose(image.size);
        if (choice.bucket.width_px == 0 || choice.bucket.height_px == 0) {
            throw Error(ErrorCode::kData,
                        fmt::format("{} ({} px) is too small for a bucket without enlarging it",
                                    image.path,
                                    to_string(image.size)))
                .with_hint("remove the picture, enlarge it, or switch bucket_no_upscale off");
        }
        counts[{group, choice.bucket}] += image.repeats;
        out.mean_ar_error += std::abs(choice.ar_error);
        out.first_slot.push_back(out.first_slot.back() + image.repeats);
        if (out.first_slot.back() > kMaxSlots) {
            throw Error(
                ErrorCode::kData,
                fmt::format("the repeats of all pictures add up to more than {}", kMaxSlots))
                .with_hint("lower the number in front of the folder names");
        }
        out.choices.push_back(choice);
    }
    if (!dataset.images.empty()) out.mean_ar_error /= static_cast<double>(dataset.images.size());
    std::map<Key, int64_t> index;
    for (const auto& [key, count] : counts) {
        index[key] = std::ssize(out.buckets);
        BucketUse use = {key.second, count, key.first, 0};
        if (!choosers.empty()) {
            use.batch_size = dataset.groups[static_cast<size_t>(key.first)].batch_size;
        }
        out.buckets.push_back(use);
    }
    for (size_t i = 0; i < out.choices.size(); ++i) {
        out.bucket_idx.push_back(index.at({group_of(dataset.images[i]), out.choices[i].bucket}));
    }
    out.dataset = std::move(dataset);
    return out;
}

std::vector<BatchPlan> plan_epoch(const BucketedDataset& data,
                                  int64_t batch_size,
                                  uint64_t seed,
                                  int64_t epoch) {
    LORA_CHECK(batch_size > 0 && epoch > 0);
    std::vector<std::vector<int64_t>> slots(data.buckets.size());
    for (size_t image = 0; image < data.choices.size(); ++image) {
        auto& bucket = slots[static_cast<size_t>(data.bucket_idx[image])];
        for (int64_t s = data.first_slot[image]; s < data.first_slot[image + 1]; ++s)
            bucket.push_back(s);
    }
    std::vector<BatchPlan> batches;
    for (size_t b = 0; b < slots.size(); ++b) {
        Rng rng(
            seed, RngStream::kShuffle, static_cast<uint64_t>(epoch), static_cast<uint32_t>(b + 1));
        rng.shuffle(slots[b]);
        const auto batch = static_cast<size_t>(data.buckets[b].batch(batch_size));
        for (size_t at = 0; at < slots[b].size(); at += batch) {
            const size_t end = std::min(slots[b].size(), at + batch);
            const auto begin = slots[b].begin();
            batches.push_back({static_cast<int64_t>(b),
                               {begin + static_cast<std::ptrdiff_t>(at),
                                begin + static_cast<std::ptrdiff_t>(end)}});
        }
    }
    Rng order(seed, RngStream::kShuffle, static_cast<uint64_t>(epoch), 0);
    order.shuffle(batches);
    return batches;
}

}  // namespace lora::data
