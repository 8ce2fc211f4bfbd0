#include "data/npz_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "data/internal/npy.h"
#include "io/zip.h"

namespace lora::data {

std::map<std::string, Tensor> parse_npz(std::span<const std::byte> bytes, const std::string& what) {
    std::map<std::string, Tensor> arrays;
    for (const io::ZipEntry& entry : io::list_zip(bytes, what)) {
        std::string name = entry.name;
        if (name.ends_with(".npy")) name.resize(name.size() - 4);
        arrays.insert_or_assign(name, internal::parse_npy(entry.bytes, what + ": " + entry.name));
    }
    return arrays;
}

std::map<std::string, Tensor> read_npz(const std::string& path) {
    const std::vector<std::byte> bytes = read_binary_file(path);
    return parse_npz(bytes, path);
}

void write_npz(const std::string& path, const std::vector<NpzArray>& arrays) {
    io::ZipWriter zip;
    for (const NpzArray& array : arrays) {
        zip.add(array.name + ".npy", internal::make_npy(array.tensor));
    }
    write_file_atomically(path, std::string_view(zip.finish()));
}

std::string kohya_npz_path(const std::string& image_path, ImageSize original_size) {
    const std::string stem = without_extension(image_path);
    if (path_exists(stem + ".npz")) return stem + ".npz";
    return fmt::format(
        "{}_{:04}x{:04}_sd.npz", stem, original_size.width_px, original_size.height_px);
}

std::optional<KohyaLatents> load_kohya_latents(const KohyaRequest& request,
                                               Diagnostics& diagnostics) {
    const std::string path = kohya_npz_path(request.image_path, request.original_size);
    if (!path_exists(path)) return std::nullopt;
    std::map<std::string, Tensor> arrays;
    const auto warn = [&](const std::string& why) {
        diagnostics.push_back({Severity::kWarning,
                               path,
                               "latent file not used, the picture is encoded again: " + why,
                               ""});
        return std::nullopt;
    };
    if (const auto error = attempt([&] { arrays = read_npz(path); })) return warn(error->message());

    KohyaLatents out;
    out.original_size = request.original_size;
    const auto take = [&](const std::string& name) -> std::optional<Tensor> {
        const auto it = arrays.find(name);
        if (it == arrays.end() || it->second.shape() != request.latent_shape ||
            !is_float(it->second.dtype())) {
            return std::nullopt;
        }
        return to_dtype(it->second.view(), DType::kF32);
    };
    auto latents = take("latents");
    if (!latents)
        return warn(
            fmt::format("no array \"latents\" of shape {}", request.latent_shape.to_string()));
    out.latents = std::move(*latents);
    if (request.flipped) {
        out.latents_flipped = take("latents_flipped");
        if (!out.latents_flipped) return warn("no array \"latents_flipped\" for flip_aug");
    }
    const auto crop = arrays.find("crop_ltrb");
    if (crop != arrays.end() && crop->second.num_elements() == 4) {
        const Tensor values = to_dtype(crop->second.view(), DType::kI64);
        std::copy_n(values.data<int64_t>().begin(), 4, out.crop_ltrb.begin());
    }
    return out;
}

void store_kohya_latents(const std::string& path, const KohyaLatents& latents) {
    Tensor size(DType::kI64, {2});
    size.data<int64_t>()[0] = latents.original_size.width_px;
    size.data<int64_t>()[1] = latents.original_size.height_px;
    Tensor crop(DType::kI64, {4});
    std::copy(latents.crop_ltrb.begin(), latents.crop_ltrb.end(), crop.data<int64_t>().begin());
    std::vector<NpzArray> arrays = {{"latents", latents.latents.view()},
                                    {"original_size", size.view()},
                                    {"crop_ltrb", crop.view()}};
    if (latents.latents_flipped) {
        arrays.push_back({"latents_flipped", latents.latents_flipped->view()});
    }
    write_npz(path, arrays);
}

std::array<int64_t, 4> kohya_crop_ltrb(ImageSize bucket, ImageSize original_size) {
    const double bucket_ar =
        static_cast<double>(bucket.width_px) / static_cast<double>(bucket.height_px);
    const double image_ar =
        static_cast<double>(original_size.width_px) / static_cast<double>(original_size.height_px);
    ImageSize resized = bucket;
    if (bucket_ar > image_ar) {
        resized.width_px = static_cast<int64_t>(static_cast<double>(bucket.height_px) * image_ar);
    } else {
        resized.height_px = static_cast<int64_t>(static_cast<double>(bucket.width_px) / image_ar);
    }
    const int64_t left = (bucket.width_px - resized.width_px) / 2;
    const int64_t top = (bucket.height_px - resized.height_px) / 2;
    return {left, top, left + resized.width_px, top + resized.height_px};
}

}  // namespace lora::data
