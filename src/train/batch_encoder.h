// Pictures that look different at every draw (color_aug, random_crop, face_crop_aug_range): their
// pixels are made when a batch is loaded and encoded when it is trained; nothing is kept.
// Not for pictures whose latents can be kept (latents.h).
// Shapes   pixels [3, H, W] in -1..1; latents [B, 4, h, w] fp32, scaled.
// Errors   kData when a picture cannot be read any more.
// Threads  pixels() any thread; encode() one thread, the one that trains.
// Source   training-semantics 3.5, 3.6, 4.
#pragma once

#include <cstdint>
#include <memory>

#include "data/loader.h"
#include "io/image_codec.h"
#include "train/latents.h"
#include "train/weight_binding.h"

namespace lora::train {

class PictureNetwork;

// One draw as it is trained: fitted, coloured, mirrored; random numbers by (seed, epoch, slot).
[[nodiscard]] io::Image draw_image(const data::BucketedDataset& data,
                                   const LatentOptions& options,
                                   uint64_t seed,
                                   const data::PictureDraw& draw);

class BatchEncoder {
public:
    // What the request points to must outlive the encoder.
    BatchEncoder(EncodeRequest request, uint64_t seed);
    ~BatchEncoder();

    [[nodiscard]] Tensor pixels(const data::PictureDraw& draw) const;
    // Puts latents in the place of the batch's pixels: a new draw from each posterior, by (seed,
    // epoch, slot).
    void encode(data::Batch& batch);

private:
    EncodeRequest request_;
    uint64_t seed_;
    WeightStore weights_;
    std::unique_ptr<PictureNetwork> network_;
};

}  // namespace lora::train
