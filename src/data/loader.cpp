#include "data/loader.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"

namespace lora::data {

BatchMaker::BatchMaker(const BucketedDataset& data, LoaderOptions options, LatentSource latents)
    : data_(data), options_(std::move(options)), latents_(std::move(latents)) {
    if (options_.batch_size < 1) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("train_batch_size is {}, below 1", options_.batch_size));
    }
    LORA_CHECK(options_.plan.num_batches == data.num_batches(options_.batch_size));
    LORA_CHECK(options_.gradient_accumulation_steps > 0 && options_.first_epoch > 0 &&
               options_.first_batch_idx >= 0 &&
               options_.first_batch_idx <= options_.plan.num_batches);
}

Batch BatchMaker::make(int64_t epoch, int64_t batch_idx) {
    if (epoch != planned_epoch_) {
        epoch_plan_ = plan_epoch(data_, options_.batch_size, options_.seed, epoch);
        planned_epoch_ = epoch;
    }
    const BatchPlan& plan = epoch_plan_.at(static_cast<size_t>(batch_idx));
    const StepPlan& steps = options_.plan;
    const int64_t accumulation = options_.gradient_accumulation_steps;
    Batch batch;
    batch.epoch = epoch;
    batch.batch_idx = batch_idx;
    batch.step = steps_before(steps, epoch, batch_idx, accumulation);
    batch.is_update = is_update(steps, batch_idx, accumulation);
    batch.ends_epoch = batch_idx + 1 == steps.num_batches;
    fill(batch, plan);
    return batch;
}

Batch BatchMaker::make_of(const BatchPlan& plan) const {
    Batch batch;
    fill(batch, plan);
    return batch;
}

void BatchMaker::fill(Batch& batch, const BatchPlan& plan) const {
    batch.bucket = data_.buckets[static_cast<size_t>(plan.bucket_idx)].size;
    batch.slots = plan.slots;
    std::vector<float> weights;
    const AugmentOptions run{.flip_aug = options_.flip_aug};
    for (const int64_t slot : plan.slots) {
        const int64_t image = data_.image_of_slot(slot);
        batch.image_idx.push_back(image);
        const ImageEntry& entry = data_.dataset.images[static_cast<size_t>(image)];
        const bool may_flip =
            !options_.never_flips && data_.dataset.augment_of(entry, run).flip_aug;
        weights.push_back(entry.loss_weight);
        Rng flip(options_.seed,
                 RngStream::kFlip,
                 static_cast<uint64_t>(batch.epoch),
                 narrow<uint32_t>(slot));
        batch.flipped.push_back(may_flip && flip.below(2) == 1);
        batch.captions.push_back(caption_of(slot, image, batch));
    }
    batch.loss_weights = Tensor::from_floats({batch.size()}, weights);
    fill_latents(batch);
    fill_tokens(batch);
}

std::string BatchMaker::caption_of(int64_t slot, int64_t image_idx, const Batch& batch) const {
    PhiloxCaptionRandom random(options_.seed, batch.epoch, narrow<uint32_t>(slot));
    const CaptionPlace place = {
        .epoch = batch.epoch, .step = batch.step, .max_train_steps = options_.plan.max_train_steps};
    const ImageEntry& image = data_.dataset.images[static_cast<size_t>(image_idx)];
    const CaptionOptions& options = data_.dataset.caption_of(image, options_.caption);
    if (!options_.plain_captions) return process_caption(image.caption, options, place, random);
    return process_caption(image.caption, plain_options(options), place, random);
}

void BatchMaker::fill_latents(Batch& batch) const {
    batch.holds_pixels = static_cast<bool>(options_.pixels);
    for (size_t i = 0; i < batch.image_idx.size(); ++i) {
        const Tensor latent =
            options_.pixels
                ? options_.pixels(
                      {batch.image_idx[i], batch.slots[i], batch.epoch, batch.flipped[i]})
                : latents_(batch.image_idx[i], batch.flipped[i]);
        LORA_CHECK(latent.dtype() == DType::kF32 && latent.shape().num_axes() == 3);
        if (i == 0) {
            const Shape& s = latent.shape();
            batch.latents = Tensor(DType::kF32, {batch.size(), s[0], s[1], s[2]});
        }
        const auto src = latent.bytes();
        LORA_CHECK(src.size() * batch.image_idx.size() == batch.latents.bytes().size());
        std::copy(src.begin(),
                  src.end(),
                  batch.latents.bytes().begin() + static_cast<std::ptrdiff_t>(i * src.size()));
    }
}

void BatchMaker::fill_tokens(Batch& batch) const {
    const int64_t chunks = options_.chunks.max_token_length / text::kWindowText;
    batch.token_ids = Tensor(DType::kI32, {batch.size(), chunks, text::kWindowTokens});
    auto dst = batch.token_ids.data<int32_t>().begin();
    std::vector<text::WeightedTokens> weighted;
    for (const std::string& caption : batch.captions) {
        text::WeightedTokens tokens;
        if (options_.weighted_captions) {
            tokens = text::encode_weighted(tokenizer_, caption);
        } else {
            tokens.ids = tokenizer_.encode(caption);
        }
        for (const auto& window : text::training_chunks(tokens.ids, options_.chunks)) {
            dst = std::copy(window.begin(), window.end(), dst);
        }
        if (options_.weighted_captions) weighted.push_back(std::move(tokens));
    }
    if (options_.weighted_captions) fill_token_weights(batch, weighted);
}

// The joined context has the begin token, the captions' tokens, and the end token of the last
// window: token i stands at position i + 1 (training-semantics 2.3, 2.5).
void BatchMaker::fill_token_weights(Batch& batch,
                                    const std::vector<text::WeightedTokens>& captions) const {
    const int64_t length = options_.chunks.max_token_length;
    batch.token_weights = Tensor(DType::kF32, {batch.size(), length + 2});
    const std::span<float> dst = batch.token_weights.data<float>();
    std::fill(dst.begin(), dst.end(), 1.0F);
    for (size_t row = 0; row < captions.size(); ++row) {
        const std::vector<float>& weights = captions[row].weights;
        const size_t count = std::min(weights.size(), static_cast<size_t>(length));
        std::copy_n(
            weights.begin(),
            count,
            dst.begin() + static_cast<std::ptrdiff_t>(row * static_cast<size_t>(length + 2) + 1));
    }
}

Loader::Loader(const BucketedDataset& data, LoaderOptions options, LatentSource latents)
    : maker_(data, std::move(options), std::move(latents)),
      queue_(std::max<size_t>(maker_.options().batches_ahead, 1)),
      thread_([this] { run(); }) {}

// Closing wakes a producer that waits for room; the thread then joins.
Loader::~Loader() { queue_.close(); }

std::optional<Batch> Loader::next() {
    std::optional<std::future<Batch>> ready = queue_.pop();
    if (!ready) return std::nullopt;
    return ready->get();
}

void Loader::run() {
    const LoaderOptions& options = maker_.options();
    int64_t batch_idx = options.first_batch_idx;
    for (int64_t epoch = options.first_epoch; epoch <= options.plan.num_epochs; ++epoch) {
        for (; batch_idx < options.plan.num_batches; ++batch_idx) {
            const int64_t done =
                steps_before(options.plan, epoch, batch_idx, options.gradient_accumulation_steps);
            if (done >= options.plan.max_train_steps) return queue_.close();
            // The task carries an error over to next().
            std::packaged_task<Batch()> task([&] { return maker_.make(epoch, batch_idx); });
            std::future<Batch> made = task.get_future();
            task();
            if (!queue_.push(std::move(made))) return;
        }
        batch_idx = 0;
    }
    queue_.close();
}

}  // namespace lora::data
