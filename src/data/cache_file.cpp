#include "data/cache_file.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"

namespace lora::data {

namespace {

constexpr std::string_view kMagic = "LORALAT1";
constexpr size_t kDigestBytes = 8;

template <typename T>
void put(std::string& out, T value) {
    for (size_t i = 0; i < sizeof(T); ++i) {
        out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFFU);
    }
}

uint64_t get(std::string_view bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i > 0; --i) {
        value = value << 8U | static_cast<unsigned char>(bytes[i - 1]);
    }
    return value;
}

// Everything before the tensor's bytes.
std::string header(const LatentKey& key, DType dtype, const Shape& shape) {
    const std::string text = to_text(key);
    std::string out(kMagic);
    put(out, narrow<uint32_t>(text.size()));
    out += text;
    put(out, static_cast<uint8_t>(dtype));
    put(out, narrow<uint8_t>(shape.num_axes()));
    for (const int64_t size : shape.sizes()) put(out, size);
    return out;
}

}  // namespace

std::string to_text(const LatentKey& key) {
    const BucketChoice& c = key.choice;
    const std::string mask = key.mask.empty() ? "" : " mask=" + key.mask;
    return fmt::format(
        "image={} bucket={} resized={} crop={},{} flipped={} exif={} alpha={} vae={} "
        "precision={}{}",
        key.image_sha256,
        to_string(c.bucket),
        to_string(c.resized),
        c.crop_left_px,
        c.crop_top_px,
        key.flipped,
        key.apply_exif,
        key.composite_alpha,
        key.vae_hash,
        key.precision,
        mask);
}

std::string LatentCache::path_of(const LatentKey& key) const {
    const std::string text = to_text(key);
    return join_path(folder_, sha256_hex(std::as_bytes(std::span(text))).substr(0, 32) + ".latent");
}

std::optional<Tensor> LatentCache::load(const LatentKey& key, const Shape& shape) const {
    const std::string path = path_of(key);
    if (!path_exists(path)) return std::nullopt;
    std::string text;
    if (attempt([&] { text = read_text_file(path); })) return std::nullopt;
    const std::string_view bytes = text;
    // The header is known but for its dtype: compare instead of parsing.
    for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
        const std::string expected = header(key, dtype, shape);
        const size_t payload = dtype_bytes(dtype) * static_cast<size_t>(shape.num_elements());
        if (bytes.size() != expected.size() + payload + kDigestBytes) continue;
        if (!bytes.starts_with(expected)) continue;
        const std::string_view body = bytes.substr(0, bytes.size() - kDigestBytes);
        if (get(bytes.substr(body.size())) != fnv1a64(body)) return std::nullopt;
        Tensor latent(dtype, shape);
        std::memcpy(latent.bytes().data(), bytes.data() + expected.size(), payload);
        return latent;
    }
    return std::nullopt;
}

void LatentCache::store(const LatentKey& key, const TensorView& latent) const {
    std::string out = header(key, latent.dtype, latent.shape);
    out.append(reinterpret_cast<const char*>(latent.bytes.data()), latent.bytes.size());
    put(out, fnv1a64(out));
    make_directories(folder_);
    write_file_atomically(path_of(key), std::string_view(out));
}

}  // namespace lora::data
