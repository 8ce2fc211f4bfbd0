#include "train/latents.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/rng.h"
#include "data/loss_mask.h"

namespace lora::train {
namespace {

uint64_t content_key(const std::string& content) { return fnv1a64(content); }

}  // namespace

Tensor draw_latent(
    const Tensor& posterior, double latent_scale, uint64_t seed, uint64_t key, uint32_t flipped) {
    const Shape& shape = posterior.shape();
    const int64_t channels = shape[0] / 2;
    Tensor latent(DType::kF32, Shape{channels, shape[1], shape[2]});
    const auto count = static_cast<size_t>(latent.num_elements());
    const std::span<const float> source = posterior.data<float>();
    const std::span<float> dst = latent.data<float>();
    Rng rng(seed, RngStream::kPosterior, key, flipped);
    for (size_t i = 0; i < count; ++i) {
        const double mean = source[i];
        const double logvar = std::clamp(static_cast<double>(source[count + i]), -30.0, 20.0);
        const double value = mean + std::exp(0.5 * logvar) * static_cast<double>(rng.normal());
        dst[i] = static_cast<float>(value * latent_scale);
    }
    return latent;
}

LatentStore::LatentStore(const LatentStoreOptions& options, size_t num_images)
    : options_(options), items_(2 * num_images), content_(num_images) {}

const LatentStore::Item& LatentStore::item(int64_t image_idx, bool flipped) const {
    return items_.at(2 * static_cast<size_t>(image_idx) + (flipped ? 1 : 0));
}

void LatentStore::set_content(int64_t image_idx, std::string content) {
    content_.at(static_cast<size_t>(image_idx)) = std::move(content);
}

void LatentStore::put(int64_t image_idx, bool flipped, Tensor posterior) {
    Item& slot = items_.at(2 * static_cast<size_t>(image_idx) + (flipped ? 1 : 0));
    slot.latent = draw_latent(posterior,
                              options_.latent_scale,
                              options_.seed,
                              content_key(content(image_idx)),
                              flipped ? 1 : 0);
    if (options_.redraw) slot.posterior = std::move(posterior);
}

void LatentStore::put_latent(int64_t image_idx, bool flipped, const Tensor& latent) {
    Item& slot = items_.at(2 * static_cast<size_t>(image_idx) + (flipped ? 1 : 0));
    slot.latent = Tensor(DType::kF32, latent.shape());
    const std::span<const float> source = latent.data<float>();
    const auto scale = static_cast<float>(options_.latent_scale);
    std::transform(
        source.begin(), source.end(), slot.latent.data<float>().begin(), [scale](float value) {
            return value * scale;
        });
}

Tensor LatentStore::latent(int64_t image_idx, bool flipped) const {
    const Item& slot = item(image_idx, flipped);
    LORA_CHECK(slot.latent.shape().num_axes() == 3,
               fmt::format("picture {} has no latent", image_idx));
    return slot.latent;
}

void LatentStore::redraw(data::Batch& batch) const {
    if (!options_.redraw) return;
    std::span<float> dst = batch.latents.data<float>();
    for (size_t i = 0; i < batch.image_idx.size(); ++i) {
        const Item& slot = item(batch.image_idx[i], batch.flipped[i]);
        if (slot.posterior.shape().num_axes() != 3) continue;  // kohya's files hold one draw
        const std::string place =
            fmt::format("{}/{}/{}", content(batch.image_idx[i]), batch.epoch, batch.slots[i]);
        const Tensor drawn = draw_latent(slot.posterior,
                                         options_.latent_scale,
                                         options_.seed,
                                         content_key(place),
                                         batch.flipped[i] ? 1 : 0);
        const std::span<const float> source = drawn.data<float>();
        std::copy(source.begin(),
                  source.end(),
                  dst.begin() + static_cast<std::ptrdiff_t>(i * source.size()));
    }
}

void LatentStore::put_mask(int64_t image_idx, Tensor mask) {
    if (masks_.empty()) masks_.resize(items_.size() / 2);
    masks_.at(static_cast<size_t>(image_idx)) = std::move(mask);
}

void LatentStore::fill_masks(data::Batch& batch) const {
    if (masks_.empty()) return;
    const Shape& s = batch.latents.shape();
    batch.mask = Tensor(DType::kF32, {s[0], 1, s[2], s[3]});
    const std::span<float> dst = batch.mask.data<float>();
    std::fill(dst.begin(), dst.end(), 1.0F);
    for (size_t i = 0; i < batch.image_idx.size(); ++i) {
        const Tensor& kept = masks_.at(static_cast<size_t>(batch.image_idx[i]));
        if (kept.shape().num_axes() != 2) continue;
        const Tensor mask = batch.flipped[i] ? data::flip_plane(kept) : kept;
        const std::span<const float> src = mask.data<float>();
        LORA_CHECK(static_cast<int64_t>(src.size()) == s[2] * s[3], "a mask of another size");
        std::copy(
            src.begin(), src.end(), dst.begin() + static_cast<std::ptrdiff_t>(i * src.size()));
    }
}

size_t LatentStore::num_bytes() const {
    size_t sum = 0;
    for (const Tensor& mask : masks_) sum += mask.bytes().size();
    for (const Item& slot : items_)
        sum += slot.latent.bytes().size() + slot.posterior.bytes().size();
    return sum;
}

}  // namespace lora::train
