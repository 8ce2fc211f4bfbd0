// The pictures' latents: encoded once by the VAE, kept in memory, and on disk between runs. The VAE
// leaves memory when encoding is done. Not the decoding of pictures (io/), not the batches (data/).
// Shapes   images [n, 3, H, W]; posterior [8, h, w] = mean, then log variance; latents [4, h, w]
// fp32,
//          scaled.
// Errors   kFormat for a wrong VAE, kIo for the cache folder. A picture that cannot be decoded is
//          reported, not thrown.
// Threads  encode() one thread; LatentStore's const members any thread.
// Source   Kingma and Welling, arXiv:1312.6114 (posterior); training-semantics 4.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "data/batch.h"
#include "data/epoch_plan.h"
#include "io/safetensors.h"
#include "models/vae.h"
#include "train/train_options.h"

namespace lora::train {

struct LatentStoreOptions {
    uint64_t seed = 0;
    bool redraw = false;  // keep posteriors and draw anew each time (cache_latents off)
    double latent_scale = 0.18215;
};

class LatentStore {
public:
    LatentStore(const LatentStoreOptions& options, size_t num_images);

    // The file's SHA-256; before put().
    void set_content(int64_t image_idx, std::string content);
    // Empty when nobody has said it.
    [[nodiscard]] const std::string& content(int64_t image_idx) const {
        return content_.at(static_cast<size_t>(image_idx));
    }
    // Keeps what the VAE said about one picture.
    void put(int64_t image_idx, bool flipped, Tensor posterior);
    // Keeps a latent that was drawn before, unscaled (kohya's files).
    void put_latent(int64_t image_idx, bool flipped, const Tensor& latent);

    // How much each place of the picture's latent counts in the loss, [h, w]; for the picture as it
    // is, not mirrored.
    void put_mask(int64_t image_idx, Tensor mask);
    // Sets batch.mask, ones for pictures without a mask; nothing when no picture has one.
    void fill_masks(data::Batch& batch) const;

    // Scaled latent; with `redraw` the posterior's mean, to be replaced by redraw().
    [[nodiscard]] Tensor latent(int64_t image_idx, bool flipped) const;
    // Draws the latents of a batch anew when the options say so.
    void redraw(data::Batch& batch) const;
    [[nodiscard]] size_t num_bytes() const;

private:
    struct Item {
        Tensor latent;     // scaled
        Tensor posterior;  // with redraw
    };
    [[nodiscard]] const Item& item(int64_t image_idx, bool flipped) const;

    LatentStoreOptions options_;
    std::vector<Item> items_;           // [image][flipped]
    std::vector<std::string> content_;  // [image]
    std::vector<Tensor> masks_;         // [image], empty when there are none
};

// One draw from a posterior [8, h, w], scaled: mean + exp(logvar / 2) * N(0, 1), log variance
// clamped to -30..20.
[[nodiscard]] Tensor draw_latent(
    const Tensor& posterior, double latent_scale, uint64_t seed, uint64_t key, uint32_t flipped);

struct EncodeRequest {
    backend::Backend* backend = nullptr;
    std::shared_ptr<const io::SafetensorsFile> vae_file;
    models::VaeConfig vae;
    DType dtype = DType::kF32;
    const data::BucketedDataset* data = nullptr;
    const LatentOptions* options = nullptr;
    std::string cache_dir;       // empty: nothing is kept on disk
    size_t max_arena_bytes = 0;  // groups that need more go through one by one; 0: no limit
    std::function<void(int64_t done, int64_t total)> on_progress;
};

struct UnreadablePicture {
    int64_t image_idx = 0;
    std::string reason;
};

// Fills the store with every picture of the data set (and its mirror image with flip_aug). Returns
// the pictures that could not be decoded.
[[nodiscard]] std::vector<UnreadablePicture> encode_latents(const EncodeRequest& request,
                                                            LatentStore& store);

// What the encoder's weights take in the type of its computations.
[[nodiscard]] size_t encoder_weight_bytes(const EncodeRequest& request);

// Puts the mask of every picture that has one into the store: the mask picture's, or its
// transparency. Kept in cache_dir like latents.
// Errors   kData when a mask cannot be read or has another size than its picture.
void load_loss_masks(const EncodeRequest& request, LatentStore& store);

// Arena of the VAE encoder for the largest bucket, planned only.
// Errors   kOutOfMemory when the request's limit is too small for one picture.
[[nodiscard]] size_t vae_arena_bytes(const EncodeRequest& request);

}  // namespace lora::train
