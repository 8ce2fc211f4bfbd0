// Makes the batches of a run in order, ahead of training on its own thread. Not here: encoding
// pictures (the caller's latent source does), noise and timesteps (train/).
// Every random decision depends on (seed, epoch, slot), so a loader started at any batch gives what
// an earlier one would have given there.
// Errors   from the latent source or the options leave next(). Threads: one consumer calls next();
//          the latent source is called on the loader's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>

#include "base/bounded_queue.h"
#include "data/batch.h"
#include "data/caption.h"
#include "data/epoch_plan.h"
#include "data/steps.h"
#include "text/clip_tokenizer.h"
#include "text/prompt_weights.h"
#include "text/token_chunks.h"

namespace lora::data {

// One draw of one picture.
struct PictureDraw {
    int64_t image_idx = 0;
    int64_t slot = 0;
    int64_t epoch = 1;
    bool flipped = false;
};

struct LoaderOptions {
    uint64_t seed = 0;
    int64_t batch_size = 1;
    bool flip_aug = false;  // mirror with probability 1/2 a draw; folders may say otherwise
    int64_t gradient_accumulation_steps = 1;
    CaptionOptions caption = {};
    // Whatever the options and the folders' own say:
    bool never_flips = false;
    bool plain_captions = false;     // plain_options()
    bool weighted_captions = false;  // (word:1.2) weighs
    text::ChunkOptions chunks = {};
    StepPlan plan = {};       // from plan_steps; the loader ends after max_train_steps updates
    int64_t first_epoch = 1;  // where to start
    int64_t first_batch_idx = 0;
    size_t batches_ahead = 4;
    // Set: batches hold pixels of each draw in place of latents.
    std::function<Tensor(const PictureDraw&)> pixels = {};
};

// The latent of a picture for its bucket, F32 [4, h, w]; flipped: of the mirrored picture.
using LatentSource = std::function<Tensor(int64_t image_idx, bool flipped)>;

// Makes any batch of the run without a thread.
class BatchMaker {
public:
    // `data` must outlive the maker. Errors  kConfig when the plan does not fit data and batch
    // size.
    BatchMaker(const BucketedDataset& data, LoaderOptions options, LatentSource latents);

    [[nodiscard]] Batch make(int64_t epoch, int64_t batch_idx);
    // A batch of slots of one bucket, with the captions and mirrorings of the first epoch.
    [[nodiscard]] Batch make_of(const BatchPlan& plan) const;
    [[nodiscard]] const LoaderOptions& options() const { return options_; }

private:
    void fill(Batch& batch, const BatchPlan& plan) const;
    [[nodiscard]] std::string caption_of(int64_t slot, int64_t image_idx, const Batch& batch) const;
    void fill_latents(Batch& batch) const;
    void fill_tokens(Batch& batch) const;
    void fill_token_weights(Batch& batch, const std::vector<text::WeightedTokens>& captions) const;

    const BucketedDataset& data_;
    LoaderOptions options_;
    LatentSource latents_;
    text::ClipTokenizer tokenizer_;
    int64_t planned_epoch_ = 0;
    std::vector<BatchPlan> epoch_plan_;
};

class Loader {
public:
    Loader(const BucketedDataset& data, LoaderOptions options, LatentSource latents);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // The next batch; nothing after the last one of the run.
    [[nodiscard]] std::optional<Batch> next();

private:
    void run();

    BatchMaker maker_;
    BoundedQueue<std::future<Batch>> queue_;
    std::jthread thread_;  // last: it uses the others
};

}  // namespace lora::data
