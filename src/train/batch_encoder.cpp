#include "train/batch_encoder.h"

#include <algorithm>

#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"
#include "data/augment.h"
#include "data/image_transform.h"
#include "train/internal/vae_graph.h"

namespace lora::train {
io::Image draw_image(const data::BucketedDataset& data,
                     const LatentOptions& options,
                     uint64_t seed,
                     const data::PictureDraw& draw) {
    const auto idx = static_cast<size_t>(draw.image_idx);
    const data::ImageEntry& image = data.dataset.images[idx];
    const io::Image full = io::read_image_file(
        image.path, {.apply_exif = options.apply_exif, .composite_alpha = options.alpha_on_white});
    Rng rng(seed, RngStream::kCrop, static_cast<uint64_t>(draw.epoch), narrow<uint32_t>(draw.slot));
    return data::draw_picture(full,
                              {.options = data.dataset.augment_of(image, options.augment()),
                               .choice = data.choices[idx],
                               .face = data::face_of_name(image.path),
                               .flipped = draw.flipped},
                              rng);
}

BatchEncoder::BatchEncoder(EncodeRequest request, uint64_t seed)
    : request_(std::move(request)), seed_(seed), weights_(*request_.backend) {
    weights_.add_source(file_source(request_.vae_file));
    network_ = std::make_unique<PictureNetwork>(
        *request_.backend, weights_, encoder_graph(request_), request_.max_arena_bytes);
}

BatchEncoder::~BatchEncoder() = default;

Tensor BatchEncoder::pixels(const data::PictureDraw& draw) const {
    return data::to_pixel_tensor(draw_image(*request_.data, *request_.options, seed_, draw));
}

void BatchEncoder::encode(data::Batch& batch) {
    LORA_CHECK(batch.holds_pixels);
    const int64_t unit = request_.vae.px_per_latent();
    const int64_t channels = request_.vae.latent_channels;
    const Shape one = {2 * channels, batch.bucket.height_px / unit, batch.bucket.width_px / unit};
    Tensor latents(DType::kF32, {batch.size(), channels, one[1], one[2]});
    const size_t half = static_cast<size_t>(one.num_elements()) / 2;
    const int64_t group = std::max<int64_t>(request_.options->vae_batch_size, 1);
    const size_t picture_bytes = batch.latents.bytes().size() / static_cast<size_t>(batch.size());
    for (int64_t begin = 0; begin < batch.size(); begin += group) {
        const int64_t count = std::min(group, batch.size() - begin);
        const auto pixels = batch.latents.bytes().subspan(
            static_cast<size_t>(begin) * picture_bytes, static_cast<size_t>(count) * picture_bytes);
        const std::vector<Tensor> posteriors = network_->run(
            {DType::kF32, Shape{count, 3, batch.bucket.height_px, batch.bucket.width_px}, pixels});
        for (int64_t i = 0; i < count; ++i) {
            const auto n = static_cast<size_t>(begin + i);
            int64_t bad = 0;
            const Tensor posterior = posterior_of(posteriors, i, bad);
            const Tensor drawn = draw_latent(posterior,
                                             request_.vae.latent_scale,
                                             seed_,
                                             static_cast<uint64_t>(batch.epoch),
                                             narrow<uint32_t>(batch.slots[n]));
            std::copy_n(drawn.data<float>().begin(),
                        half,
                        latents.data<float>().begin() + static_cast<std::ptrdiff_t>(n * half));
        }
    }
    batch.latents = std::move(latents);
    batch.holds_pixels = false;
}

}  // namespace lora::train
