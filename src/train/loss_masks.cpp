// Masks of the loss for all pictures of a data set; see latents.h.
#include <optional>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "data/cache_file.h"
#include "data/loss_mask.h"
#include "train/latents.h"

namespace lora::train {
namespace {

class MaskLoader {
public:
    explicit MaskLoader(const EncodeRequest& request) : request_(request) {}

    void run(LatentStore& store) {
        const auto count = request_.data->dataset.images.size();
        std::vector<std::optional<Tensor>> masks(count);
        std::vector<std::optional<Error>> errors(count);
        ThreadPool pool(static_cast<int>(request_.options->max_data_loader_n_workers));
        pool.parallel_for(static_cast<int64_t>(count), [&](int64_t i) {
            const auto idx = static_cast<size_t>(i);
            errors[idx] = attempt([&] { masks[idx] = mask_of(idx, store.content(i)); });
        });
        for (size_t i = 0; i < count; ++i) {
            if (errors[i]) throw *errors[i];
            if (masks[i]) store.put_mask(static_cast<int64_t>(i), std::move(*masks[i]));
        }
    }

private:
    // `content`: the picture's hash, when the encoding of latents has made it.
    [[nodiscard]] std::optional<Tensor> mask_of(size_t idx, const std::string& content) const {
        const data::ImageEntry& entry = request_.data->dataset.images[idx];
        if (entry.mask_path.empty() && !entry.alpha_mask) return std::nullopt;
        const data::BucketChoice& choice = request_.data->choices[idx];
        const int64_t unit = request_.vae.px_per_latent();
        const Shape shape{choice.bucket.height_px / unit, choice.bucket.width_px / unit};
        const data::LatentKey key{
            .image_sha256 = content.empty() ? sha256_file_hex(entry.path) : content,
            .choice = choice,
            .apply_exif = request_.options->apply_exif,
            .mask = entry.mask_path.empty() ? "alpha" : sha256_file_hex(entry.mask_path)};
        const data::LatentCache cache(request_.cache_dir);
        if (!request_.cache_dir.empty()) {
            if (auto found = cache.load(key, shape)) return found;
        }
        Tensor mask =
            data::to_loss_mask(data::fit_to_bucket(picture(entry), choice), shape[0], shape[1]);
        if (!request_.cache_dir.empty()) cache.store(key, mask.view());
        return mask;
    }

    [[nodiscard]] io::Image picture(const data::ImageEntry& entry) const {
        io::DecodeOptions options{.apply_exif = request_.options->apply_exif};
        if (entry.mask_path.empty()) {
            options.alpha_only = true;
            return io::read_image_file(entry.path, options);
        }
        io::Image image = io::read_image_file(entry.mask_path, options);
        if (image.width_px == entry.size.width_px && image.height_px == entry.size.height_px) {
            return image;
        }
        throw Error(ErrorCode::kData,
                    fmt::format("mask {} is {}x{}, its picture {}",
                                entry.mask_path,
                                image.width_px,
                                image.height_px,
                                data::to_string(entry.size)))
            .with_hint("a mask has the size of its picture");
    }

    const EncodeRequest& request_;
};

}  // namespace

void load_loss_masks(const EncodeRequest& request, LatentStore& store) {
    MaskLoader(request).run(store);
}

}  // namespace lora::train
