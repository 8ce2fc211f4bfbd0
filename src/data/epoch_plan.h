// Pictures sorted into buckets, and the batches of each epoch. Not here: loading anything.
// Every picture stands `repeats` times in its bucket; batches never mix buckets; the last batch of
// a bucket may be short. The order depends on (seed, epoch) only. Threads  pure. Source:
// training-semantics 3.7 without the worker quirk.
#pragma once

#include <cstdint>
#include <vector>

#include "data/bucket.h"
#include "data/dataset.h"

namespace lora::data {

// A slot is one repeat of one picture: slots are numbered by picture, then repeat, and that number
// keys the random decisions of the draw.
struct BucketedDataset {
    Dataset dataset;
    std::vector<BucketChoice> choices;  // one a picture
    std::vector<BucketUse> buckets;     // used ones by (data set, width, height), with repeats
    std::vector<int64_t> bucket_idx;    // one a picture
    std::vector<int64_t> first_slot;    // one a picture, then the total
    double mean_ar_error = 0;           // mean of |ar_error| over pictures, without repeats

    [[nodiscard]] int64_t num_slots() const { return first_slot.back(); }
    [[nodiscard]] int64_t image_of_slot(int64_t slot) const;
    // Sum over the buckets; `batch_size` is the run's, for buckets without one of their own.
    [[nodiscard]] int64_t num_batches(int64_t batch_size) const;
};

// A described data set has choosers of its own; `chooser` serves all others.
// Errors  kData naming the picture that is too small for any bucket (no_upscale only).
[[nodiscard]] BucketedDataset assign_buckets(Dataset dataset, const BucketChooser& chooser);

struct BatchPlan {
    int64_t bucket_idx = 0;
    std::vector<int64_t> slots;
};

// The batches of one epoch (1-based) in the order of training.
[[nodiscard]] std::vector<BatchPlan> plan_epoch(const BucketedDataset& data,
                                                int64_t batch_size,
                                                uint64_t seed,
                                                int64_t epoch);

}  // namespace lora::data
