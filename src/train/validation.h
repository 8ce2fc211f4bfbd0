// The loss of pictures that were set aside (data/validation_split.h), always with the same noise,
// timesteps and captions: 200, 400, 600 and 800 for each batch, weighted as in training.
// Not when to measure (monitor.h).
// Threads  one thread.
// Source   training-semantics 11.
#pragma once

#include <cstdint>
#include <vector>

#include "data/loader.h"
#include "train/train_options.h"
#include "train/train_step.h"

namespace lora::train {

// Inner points of six evenly spaced timesteps over the range that is trained.
[[nodiscard]] std::vector<int64_t> validation_timesteps(int64_t min, int64_t max);

class Validation {
public:
    // Everything must outlive the object.
    struct Parts {
        const data::BucketedDataset* data = nullptr;
        data::LoaderOptions loader;  // seed: that of the validation
        data::LatentSource latents;
        std::function<void(data::Batch&)> fill_masks = {};  // may be empty
        const LossOptions* loss = nullptr;
        int64_t max_batches = 0;         // 0: all
        TrainStep* evaluator = nullptr;  // forward only, compiled
    };
    explicit Validation(const Parts& parts);

    // The mean over batches and timesteps, of the model as it stands.
    [[nodiscard]] double measure();

private:
    Parts parts_;
    data::BatchMaker maker_;
};

}  // namespace lora::train
