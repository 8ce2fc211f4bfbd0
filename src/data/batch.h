// What one micro-step trains on. Made by loader.h, consumed by train/.
// Shapes   B pictures of one bucket, C windows of text each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/bucket.h"
#include "tensor/tensor.h"

namespace lora::data {

struct Batch {
    // F32 [B, 4, h, w] as the latent source gave them; [B, 3, H, W] pixels with holds_pixels.
    Tensor latents;
    bool holds_pixels = false;
    Tensor token_ids;                   // I32 [B, C, 77]
    Tensor loss_weights;                // F32 [B]
    Tensor mask;                        // F32 [B, 1, h, w] of the loss; no axes: none
    Tensor token_weights;               // F32 [B, 75 C + 2], with weighted_captions; no axes: none
    std::vector<int64_t> image_idx;     // [B] into Dataset::images
    std::vector<int64_t> slots;         // [B] see epoch_plan.h: key of this draw's random numbers
    std::vector<bool> flipped;          // [B]
    std::vector<std::string> captions;  // [B] as tokenized
    ImageSize bucket;
    int64_t epoch = 1;      // 1-based
    int64_t batch_idx = 0;  // within the epoch
    int64_t step = 0;       // updates done before this micro-step
    bool is_update = true;  // this micro-step ends with an update
    bool ends_epoch = false;

    [[nodiscard]] int64_t size() const { return static_cast<int64_t>(image_idx.size()); }
};

}  // namespace lora::data
