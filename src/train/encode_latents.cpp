// Runs the VAE over the pictures of a data set, group by group; see latents.h.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "data/cache_file.h"
#include "data/image_transform.h"
#include "data/npz_file.h"
#include "io/image_codec.h"
#include "train/internal/vae_graph.h"
#include "train/latents.h"

namespace lora::train {
namespace {

struct Item {
    int64_t image_idx = 0;
    bool flipped = false;
};

}  // namespace

PictureGraph encoder_graph(const EncodeRequest& request) {
    const auto build = [vae = request.vae, dtype = request.dtype](const Shape& input) {
        ir::Graph graph;
        ir::Builder builder(graph);
        const nn::NetContext net{&builder, dtype, nullptr};
        const models::VaePosterior posterior =
            models::build_vae_encoder(net, vae, builder.input("image", DType::kF32, input));
        graph.mark_output(posterior.mean, "mean");
        graph.mark_output(posterior.logvar, "logvar");
        return graph;
    };
    // Never in tiles: a group norm that sees a part of the picture gives other latents (by a
    // quarter of their norm, tiles of 768 in 1024 pixels and the mini model's VAE), and those would
    // be learned.
    return {.build = build, .input = "image", .outputs = {"mean", "logvar"}, .tiles = {}};
}

Tensor posterior_of(const std::vector<Tensor>& mean_and_logvar, int64_t i, int64_t& num_bad) {
    const Shape& all = mean_and_logvar[0].shape();
    Tensor posterior(DType::kF32, {2 * all[1], all[2], all[3]});
    const std::span<float> dst = posterior.data<float>();
    const size_t half = dst.size() / 2;
    const size_t from = static_cast<size_t>(i) * half;
    std::ranges::copy(mean_and_logvar[0].data<float>().subspan(from, half), dst.begin());
    std::ranges::copy(mean_and_logvar[1].data<float>().subspan(from, half), dst.last(half).begin());
    for (float& value : dst) {
        if (std::isfinite(value)) continue;
        value = 0;
        ++num_bad;
    }
    return posterior;
}

namespace {

// Identifies the encoder's weights.
std::string encoder_hash(const EncodeRequest& request) {
    Sha256 hash;
    for (const io::TensorInfo& info : request.vae_file->tensors()) {
        const bool encodes = info.name.starts_with(request.vae.prefix + "encoder.") ||
                             info.name.starts_with(request.vae.prefix + "quant_conv.");
        if (!encodes) continue;
        hash.update(
            fmt::format("{} {} {}\n", info.name, dtype_name(info.dtype), info.shape.to_string()));
        hash.update(request.vae_file->view(info).bytes);
    }
    return hash.hex_digest();
}

bool is_finite(const Tensor& tensor) {
    const std::span<const float> values = tensor.data<float>();
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

class Encoder {
public:
    Encoder(const EncodeRequest& request, LatentStore& store)
        : request_(request),
          store_(store),
          weights_(*request.backend),
          network_(*request.backend, weights_, encoder_graph(request), request.max_arena_bytes),
          vae_hash_(encoder_hash(request)),
          broken_(request.data->dataset.images.size()) {
        weights_.add_source(file_source(request.vae_file));
        hash_pictures();
    }

    std::vector<UnreadablePicture> run() {
        total_ = static_cast<int64_t>(request_.data->dataset.images.size());
        const int64_t group = std::max<int64_t>(request_.options->vae_batch_size, 1);
        for (size_t bucket = 0; bucket < request_.data->buckets.size(); ++bucket) {
            const std::vector<Item> items = items_of(static_cast<int64_t>(bucket));
            for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(group)) {
                const size_t end = std::min(items.size(), begin + static_cast<size_t>(group));
                do_group({items.begin() + static_cast<std::ptrdiff_t>(begin),
                          items.begin() + static_cast<std::ptrdiff_t>(end)});
            }
        }
        std::vector<UnreadablePicture> result;
        for (size_t i = 0; i < broken_.size(); ++i) {
            if (broken_[i]) result.push_back({static_cast<int64_t>(i), *broken_[i]});
        }
        return result;
    }

private:
    void hash_pictures() {
        ThreadPool pool(static_cast<int>(request_.options->max_data_loader_n_workers));
        pool.parallel_for(static_cast<int64_t>(broken_.size()), [this](int64_t i) {
            const auto idx = static_cast<size_t>(i);
            const auto error =
                attempt([&] { store_.set_content(i, sha256_file_hex(image(i).path)); });
            if (error) broken_[idx] = error->message();
        });
    }

    [[nodiscard]] const data::ImageEntry& image(int64_t idx) const {
        return request_.data->dataset.images[static_cast<size_t>(idx)];
    }
    [[nodiscard]] const data::BucketChoice& choice(int64_t idx) const {
        return request_.data->choices[static_cast<size_t>(idx)];
    }
    // Whether draws of the picture may be mirrored.
    [[nodiscard]] bool flips(int64_t idx) const {
        return request_.data->dataset.augment_of(image(idx), request_.options->augment()).flip_aug;
    }
    [[nodiscard]] Shape posterior_shape(int64_t idx) const {
        const int64_t unit = request_.vae.px_per_latent();
        const data::ImageSize size = choice(idx).bucket;
        return {2 * request_.vae.latent_channels, size.height_px / unit, size.width_px / unit};
    }

    [[nodiscard]] std::vector<Item> items_of(int64_t bucket) const {
        std::vector<Item> items;
        for (size_t i = 0; i < request_.data->bucket_idx.size(); ++i) {
            if (request_.data->bucket_idx[i] != bucket) continue;
            items.push_back({static_cast<int64_t>(i), false});
            if (flips(static_cast<int64_t>(i))) items.push_back({static_cast<int64_t>(i), true});
        }
        return items;
    }

    [[nodiscard]] data::LatentKey key_of(const Item& item) const {
        return {.image_sha256 = store_.content(item.image_idx),
                .choice = choice(item.image_idx),
                .flipped = item.flipped,
                .apply_exif = request_.options->apply_exif,
                .composite_alpha = request_.options->alpha_on_white,
                .vae_hash = vae_hash_,
                .precision = std::string(dtype_name(request_.dtype))};
    }

    // A group is encoded whole or not at all, so that cached and fresh runs see the same batches.
    void do_group(const std::vector<Item>& items) {
        std::vector<Item> wanted;
        for (const Item& item : items) {
            if (!broken_[static_cast<size_t>(item.image_idx)] && !from_kohya(item)) {
                wanted.push_back(item);
            }
        }
        if (!wanted.empty() && !from_cache(wanted)) encode(wanted);
        for (const Item& item : items) {
            if (!item.flipped && request_.on_progress) request_.on_progress(++done_, total_);
        }
    }

    bool from_cache(const std::vector<Item>& items) {
        if (request_.cache_dir.empty()) return false;
        const data::LatentCache cache(request_.cache_dir);
        std::vector<Tensor> posteriors;
        for (const Item& item : items) {
            auto found = cache.load(key_of(item), posterior_shape(item.image_idx));
            if (!found) return false;
            posteriors.push_back(std::move(*found));
        }
        for (size_t i = 0; i < items.size(); ++i) keep(items[i], std::move(posteriors[i]));
        return true;
    }

    // kohya's file beside the picture, unless it is older than the picture.
    bool from_kohya(const Item& item) {
        if (!request_.options->cache_latents_to_disk) return false;
        const data::ImageEntry& entry = image(item.image_idx);
        const std::string path = data::kohya_npz_path(entry.path, entry.size);
        std::error_code error;
        const auto file_time = std::filesystem::last_write_time(to_path(path), error);
        if (error) return false;
        const auto image_time = std::filesystem::last_write_time(to_path(entry.path), error);
        if (error || file_time < image_time) return false;
        const Shape shape = posterior_shape(item.image_idx);
        Diagnostics diagnostics;
        const auto found =
            data::load_kohya_latents({.image_path = entry.path,
                                      .original_size = entry.size,
                                      .latent_shape = {shape[0] / 2, shape[1], shape[2]},
                                      .flipped = item.flipped},
                                     diagnostics);
        for (const Diagnostic& d : diagnostics) log::warning("{}: {}", d.place, d.text);
        if (!found) return false;
        if (!is_finite(found->latents) ||
            (found->latents_flipped && !is_finite(*found->latents_flipped))) {
            log::warning("{} holds latents that are not finite: the picture is encoded anew", path);
            return false;
        }
        store_.put_latent(
            item.image_idx, item.flipped, item.flipped ? *found->latents_flipped : found->latents);
        return true;
    }

    // Pixels of the group [n, 3, H, W]; items that cannot be decoded leave it.
    Tensor load_pixels(std::vector<Item>& items) {
        std::vector<Tensor> planes(items.size());
        std::vector<std::optional<Error>> errors(items.size());
        ThreadPool pool(static_cast<int>(request_.options->max_data_loader_n_workers));
        pool.parallel_for(static_cast<int64_t>(items.size()), [&](int64_t i) {
            const Item& item = items[static_cast<size_t>(i)];
            errors[static_cast<size_t>(i)] = attempt([&] {
                const io::Image full =
                    io::read_image_file(image(item.image_idx).path,
                                        {.apply_exif = request_.options->apply_exif,
                                         .composite_alpha = request_.options->alpha_on_white});
                io::Image fitted = data::fit_to_bucket(full, choice(item.image_idx));
                if (item.flipped) fitted = data::flip_horizontal(fitted);
                planes[static_cast<size_t>(i)] = data::to_pixel_tensor(fitted);
            });
        });
        for (size_t i = 0; i < items.size(); ++i) {
            if (errors[i]) broken_[static_cast<size_t>(items[i].image_idx)] = errors[i]->message();
        }
        std::vector<Item> good;
        std::vector<float> pixels;
        for (size_t i = 0; i < items.size(); ++i) {
            if (broken_[static_cast<size_t>(items[i].image_idx)]) continue;
            const std::span<const float> plane = planes[i].data<float>();
            pixels.insert(pixels.end(), plane.begin(), plane.end());
            good.push_back(items[i]);
        }
        items = std::move(good);
        if (items.empty()) return {};
        const data::ImageSize size = choice(items.front().image_idx).bucket;
        const auto count = static_cast<int64_t>(items.size());
        return Tensor::from_floats({count, 3, size.height_px, size.width_px}, pixels);
    }

    void encode(std::vector<Item> items) {
        const Tensor pixels = load_pixels(items);
        if (items.empty()) return;
        const std::vector<Tensor> posteriors = network_.run(pixels.view());
        for (size_t i = 0; i < items.size(); ++i) {
            int64_t bad = 0;
            Tensor posterior = posterior_of(posteriors, static_cast<int64_t>(i), bad);
            finish(items[i], std::move(posterior), bad);
        }
    }

    void finish(const Item& item, Tensor posterior, int64_t bad) {
        if (bad > 0) {
            log::warning("{}: the VAE gave {} numbers that are not finite; they count as 0",
                         image(item.image_idx).path,
                         bad);
        } else if (!request_.cache_dir.empty()) {
            data::LatentCache(request_.cache_dir).store(key_of(item), posterior.view());
        }
        keep(item, std::move(posterior));
    }

    void keep(const Item& item, Tensor posterior) {
        store_.put(item.image_idx, item.flipped, std::move(posterior));
        if (request_.options->cache_latents_to_disk) write_kohya(item);
    }

    // Written once both the picture and, with flip_aug, its mirror image are there.
    void write_kohya(const Item& item) {
        if (item.flipped != flips(item.image_idx)) return;
        const data::ImageEntry& entry = image(item.image_idx);
        const auto unscaled = [&](bool flipped) {
            const Tensor scaled = store_.latent(item.image_idx, flipped);
            Tensor latent(DType::kF32, scaled.shape());
            const std::span<const float> source = scaled.data<float>();
            const auto factor = static_cast<float>(1.0 / request_.vae.latent_scale);
            std::transform(
                source.begin(), source.end(), latent.data<float>().begin(), [factor](float value) {
                    return value * factor;
                });
            return latent;
        };
        data::KohyaLatents latents{
            .latents = unscaled(false),
            .original_size = entry.size,
            .crop_ltrb = data::kohya_crop_ltrb(choice(item.image_idx).bucket, entry.size),
            .latents_flipped = std::nullopt};
        if (flips(item.image_idx)) latents.latents_flipped = unscaled(true);
        data::store_kohya_latents(data::kohya_npz_path(entry.path, entry.size), latents);
    }

    const EncodeRequest& request_;
    LatentStore& store_;
    WeightStore weights_;
    PictureNetwork network_;
    std::string vae_hash_;
    std::vector<std::optional<std::string>> broken_;  // by picture: why it cannot be used
    int64_t done_ = 0;
    int64_t total_ = 0;
};

}  // namespace

std::vector<UnreadablePicture> encode_latents(const EncodeRequest& request, LatentStore& store) {
    return Encoder(request, store).run();
}

size_t encoder_weight_bytes(const EncodeRequest& request) {
    size_t sum = 0;
    for (const io::TensorInfo& info : request.vae_file->tensors()) {
        if (!info.name.starts_with(request.vae.prefix + "encoder.")) continue;
        sum += static_cast<size_t>(info.shape.num_elements()) * dtype_bytes(request.dtype);
    }
    return sum;
}

size_t vae_arena_bytes(const EncodeRequest& request) {
    data::ImageSize largest;
    for (const data::BucketUse& use : request.data->buckets) {
        if (use.size.width_px * use.size.height_px > largest.width_px * largest.height_px) {
            largest = use.size;
        }
    }
    const int64_t batch = std::max<int64_t>(request.options->vae_batch_size, 1);
    WeightStore none(*request.backend);
    PictureNetwork network(*request.backend, none, encoder_graph(request), request.max_arena_bytes);
    return network.arena_bytes({batch, 3, largest.height_px, largest.width_px});
}

}  // namespace lora::train
