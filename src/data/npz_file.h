// NumPy .npz files (stored, not compressed) and kohya's latent files beside the pictures
// (`--cache_latents_to_disk`). Not a general zip reader.
// Types    <f8 <f4 <f2 <i8 <i4 |u1 |b1, C order.
// Errors   Error{kFormat} naming the file and the field; Error{kIo}. Nothing in a file is trusted:
//          sizes are checked against the file before anything is allocated.
// Source   PKWARE APPNOTE (zip), numpy.lib.format (npy); training-semantics 4 (disk cache, newest).
#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "data/bucket.h"
#include "tensor/tensor.h"

namespace lora::data {

// Arrays by name, without ".npy".
[[nodiscard]] std::map<std::string, Tensor> read_npz(const std::string& path);
[[nodiscard]] std::map<std::string, Tensor> parse_npz(std::span<const std::byte> bytes,
                                                      const std::string& what);
struct NpzArray {
    std::string name = {};
    TensorView tensor = {};
};
void write_npz(const std::string& path, const std::vector<NpzArray>& arrays);

// What one of kohya's latent files holds; latents are F32 [4, h, w], not scaled.
struct KohyaLatents {
    Tensor latents = {};
    ImageSize original_size = {};
    std::array<int64_t, 4> crop_ltrb{};
    std::optional<Tensor> latents_flipped = {};
};

// `<picture without extension>.npz` when it exists, else `..._<W:04d>x<H:04d>_sd.npz`.
[[nodiscard]] std::string kohya_npz_path(const std::string& image_path, ImageSize original_size);
// The latents when the file is there and fits: arrays present, shape as asked, flipped ones when
// wanted. A damaged or unfit file is a warning and counts as absent.
struct KohyaRequest {
    std::string image_path = {};
    ImageSize original_size = {};
    Shape latent_shape = {};
    bool flipped = false;
};
[[nodiscard]] std::optional<KohyaLatents> load_kohya_latents(const KohyaRequest& request,
                                                             Diagnostics& diagnostics);
void store_kohya_latents(const std::string& path, const KohyaLatents& latents);
// The crop rectangle as kohya writes it: the resized picture relative to the bucket.
[[nodiscard]] std::array<int64_t, 4> kohya_crop_ltrb(ImageSize bucket, ImageSize original_size);

}  // namespace lora::data
