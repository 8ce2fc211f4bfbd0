#include "diffusion/training_noise.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/rng.h"

namespace lora::diffusion {
namespace {

// Streams beside the samples' own: samples of a batch count from 0.
constexpr uint32_t kBatchDraws = 0xFFFFFFFFU;
constexpr uint32_t kOffsetDraws = 0x40000000U;
constexpr uint32_t kMultiresDraws = 0x80000000U;
constexpr uint32_t kPerturbationDraws = 0xC0000000U;
constexpr uint32_t kOffsetStrength = 0xFFFFFFFEU;
constexpr uint32_t kPerturbationStrength = 0xFFFFFFFDU;

struct Plane {
    int64_t height;
    int64_t width;
};

// Source position of a target pixel, half-pixel centres.
struct Tap {
    int64_t lower;
    int64_t upper;
    float fraction;
};

Tap tap(int64_t dst_idx, int64_t dst_size, int64_t src_size) {
    const double scale = static_cast<double>(src_size) / static_cast<double>(dst_size);
    const double position = std::max(0.0, (static_cast<double>(dst_idx) + 0.5) * scale - 0.5);
    const int64_t lower = std::min(static_cast<int64_t>(position), src_size - 1);
    return {lower,
            std::min(lower + 1, src_size - 1),
            static_cast<float>(position - static_cast<double>(lower))};
}

// dst += factor * bilinear(src)
void add_upsampled(
    std::span<const float> src, Plane from, std::span<float> dst, Plane to, float factor) {
    for (int64_t y = 0; y < to.height; ++y) {
        const Tap v = tap(y, to.height, from.height);
        for (int64_t x = 0; x < to.width; ++x) {
            const Tap h = tap(x, to.width, from.width);
            const auto at = [&](int64_t row, int64_t column) {
                return src[static_cast<size_t>(row * from.width + column)];
            };
            const float top =
                at(v.lower, h.lower) * (1 - h.fraction) + at(v.lower, h.upper) * h.fraction;
            const float low =
                at(v.upper, h.lower) * (1 - h.fraction) + at(v.upper, h.upper) * h.fraction;
            dst[static_cast<size_t>(y * to.width + x)] +=
                factor * (top * (1 - v.fraction) + low * v.fraction);
        }
    }
}

double mean_of(std::span<const float> values) {
    double sum = 0;
    for (const float value : values) sum += static_cast<double>(value);
    return sum / static_cast<double>(values.size());
}

float draw(const NoiseKey& key, uint32_t stream) {
    return Rng(key.seed, RngStream::kNoise, key.micro_step, stream).uniform();
}

void add_offset(const NoiseKey& key,
                const TrainingNoiseOptions& options,
                const std::array<int64_t, 4>& shape,
                std::span<const float> latents,
                std::span<float> dst) {
    const auto plane = static_cast<size_t>(shape[2] * shape[3]);
    double offset = options.noise_offset;
    if (options.noise_offset_random_strength) {
        offset *= static_cast<double>(draw(key, kOffsetStrength));
    }
    for (int64_t n = 0; n < shape[0]; ++n) {
        Rng rng(
            key.seed, RngStream::kNoise, key.micro_step, kOffsetDraws + static_cast<uint32_t>(n));
        for (int64_t c = 0; c < shape[1]; ++c) {
            const auto first = static_cast<size_t>(n * shape[1] + c) * plane;
            double own = offset;
            if (options.adaptive_noise_scale != 0) {
                const double level = std::abs(mean_of(latents.subspan(first, plane)));
                own = std::max(0.0, offset + options.adaptive_noise_scale * level);
            }
            const float shift = static_cast<float>(own) * rng.normal();
            for (float& value : dst.subspan(first, plane)) value += shift;
        }
    }
}

void divide_by_deviation(std::span<float> values) {
    const double mean = mean_of(values);
    double variance = 0;
    for (const float value : values) variance += (value - mean) * (value - mean);
    variance /= static_cast<double>(values.size() - 1);
    const auto factor = static_cast<float>(1.0 / std::sqrt(variance));
    for (float& value : values) value *= factor;
}

void add_multires(const NoiseKey& key,
                  const TrainingNoiseOptions& options,
                  const std::array<int64_t, 4>& shape,
                  std::span<float> dst) {
    Rng batch(key.seed, RngStream::kNoise, key.micro_step, kBatchDraws);
    const Plane full{shape[2], shape[3]};
    const auto plane = static_cast<size_t>(full.height * full.width);
    std::vector<Rng> samples;
    for (int64_t n = 0; n < shape[0]; ++n) {
        samples.emplace_back(
            key.seed, RngStream::kNoise, key.micro_step, kMultiresDraws + static_cast<uint32_t>(n));
    }
    for (int64_t i = 0; i < options.multires_iterations; ++i) {
        const double ratio =
            std::pow(2.0 + 2.0 * static_cast<double>(batch.uniform()), static_cast<double>(i));
        const auto shrink = [&](int64_t side) {
            return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(side) / ratio));
        };
        const Plane small{shrink(full.height), shrink(full.width)};
        const auto factor =
            static_cast<float>(std::pow(options.multires_discount, static_cast<double>(i)));
        std::vector<float> noise(static_cast<size_t>(small.height * small.width));
        for (int64_t plane_idx = 0; plane_idx < shape[0] * shape[1]; ++plane_idx) {
            samples[static_cast<size_t>(plane_idx / shape[1])].fill_normal(noise);
            add_upsampled(noise,
                          small,
                          dst.subspan(static_cast<size_t>(plane_idx) * plane, plane),
                          full,
                          factor);
        }
        if (small.height == 1 || small.width == 1) break;
    }
    divide_by_deviation(dst);
}

}  // namespace

void fill_training_noise(const NoiseKey& key,
                         const TrainingNoiseOptions& options,
                         const std::array<int64_t, 4>& shape,
                         std::span<const float> latents,
                         std::span<float> dst) {
    const auto sample = static_cast<size_t>(shape[1] * shape[2] * shape[3]);
    LORA_CHECK(dst.size() == static_cast<size_t>(shape[0]) * sample, "noise of another size");
    for (int64_t n = 0; n < shape[0]; ++n) {
        Rng rng(key.seed, RngStream::kNoise, key.micro_step, static_cast<uint32_t>(n));
        rng.fill_normal(dst.subspan(static_cast<size_t>(n) * sample, sample));
    }
    if (options.noise_offset != 0) add_offset(key, options, shape, latents, dst);
    if (options.multires_iterations > 0) add_multires(key, options, shape, dst);
}

void fill_perturbed_noise(const NoiseKey& key,
                          const TrainingNoiseOptions& options,
                          const std::array<int64_t, 4>& shape,
                          std::span<const float> noise,
                          std::span<float> dst) {
    double gamma = options.ip_noise_gamma;
    if (options.ip_noise_gamma_random_strength) {
        gamma *= static_cast<double>(draw(key, kPerturbationStrength));
    }
    const auto sample = static_cast<size_t>(shape[1] * shape[2] * shape[3]);
    for (int64_t n = 0; n < shape[0]; ++n) {
        Rng rng(key.seed,
                RngStream::kNoise,
                key.micro_step,
                kPerturbationDraws + static_cast<uint32_t>(n));
        const std::span<float> part = dst.subspan(static_cast<size_t>(n) * sample, sample);
        rng.fill_normal(part);
        for (size_t i = 0; i < sample; ++i) {
            part[i] =
                noise[static_cast<size_t>(n) * sample + i] + static_cast<float>(gamma) * part[i];
        }
    }
}

}  // namespace lora::diffusion
