// Latents kept on disk between runs, one small file each, named by what they depend on. A file that
// is damaged or belongs to something else counts as absent.
// Not here: kohya's .npz beside the pictures (npz_file.h), encoding (train/precompute).
// Layout   "LORALAT1", key length u32, key text, dtype u8, axes u8, sizes i64 each, bytes,
//          FNV-1a 64 of all before; little-endian.
// Errors   kIo when the folder cannot be written. Threads: several may use one cache.
#pragma once

#include <optional>
#include <string>

#include "data/bucket.h"
#include "tensor/tensor.h"

namespace lora::data {

// Everything that the bytes of a latent depend on.
struct LatentKey {
    std::string image_sha256 = {};  // of the picture file
    BucketChoice choice = {};       // size, resize and crop
    bool flipped = false;
    bool apply_exif = true;
    bool composite_alpha = true;
    std::string vae_hash = {};   // identifies the encoder's weights
    std::string precision = {};  // "fp32", "bf16"
    // Of a mask of the loss instead of a latent: "alpha", or the SHA-256 of the mask's file. Its
    // vae_hash and precision are empty.
    std::string mask = {};
};

// One line of text with every field; equal keys give equal text.
[[nodiscard]] std::string to_text(const LatentKey& key);

class LatentCache {
public:
    // Files go to `folder`, which is made on the first store.
    explicit LatentCache(std::string folder) : folder_(std::move(folder)) {}

    // The stored tensor, when a whole file with exactly this key and shape is there.
    [[nodiscard]] std::optional<Tensor> load(const LatentKey& key, const Shape& shape) const;
    void store(const LatentKey& key, const TensorView& latent) const;
    [[nodiscard]] std::string path_of(const LatentKey& key) const;

private:
    std::string folder_;
};

}  // namespace lora::data
