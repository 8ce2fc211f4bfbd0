// Cases of sampling: from given noise and tokens to latents and a picture.
#include <algorithm>

#include <fmt/format.h>

#include "app/parity/parity.h"
#include "base/error.h"
#include "train/image_sampler.h"

namespace lora::parity {
namespace {

Tensor doubles(const std::vector<double>& values) {
    Tensor tensor(DType::kF64, Shape{static_cast<int64_t>(values.size())});
    std::copy(values.begin(), values.end(), tensor.data<double>().begin());
    return tensor;
}

}  // namespace

void run_sample(Bench& bench, const CaseFile& golden, Report& report) {
    const std::optional<diffusion::SamplerKind> kind =
        diffusion::sampler_from_name(golden.text("sampler"));
    if (!kind) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("golden case {}: sampler \"{}\" is not known here",
                                golden.name,
                                golden.text("sampler")));
    }
    const Tensor noise = golden.floats("noise");
    const Tensor step_noise = golden.floats("step_noise");
    train::DenoiseSettings settings;
    settings.sampler = *kind;
    settings.num_steps = golden.integer("steps", 20);
    settings.cfg_scale = golden.number("cfg_scale");
    settings.step_noise = [&step_noise](int64_t step, std::span<float> dst) {
        const auto offset = static_cast<size_t>(step) * dst.size();
        const std::span<const float> part = step_noise.data<float>().subspan(offset, dst.size());
        std::copy(part.begin(), part.end(), dst.begin());
    };
    const diffusion::Sampler plan(
        settings.sampler, settings.num_steps, diffusion::PredictionType::kEpsilon);
    report.compare(golden, "timesteps", doubles(plan.timesteps()), report.bounds().tables);
    if (golden.has("out.sigmas")) {
        report.compare(golden, "sigmas", doubles(plan.sigmas()), report.bounds().tables);
    }
    train::ImageSamplerOptions options;
    options.dtype = bench.dtype();
    options.clip_skip = golden.integer("clip_skip", 1);
    models::ModelInfo info = bench.info();
    info.v_prediction = golden.flag("v_prediction");
    train::ImageSampler sampler(bench.device(), bench.weights(), std::move(info), options);
    const Tensor latents =
        sampler.denoise(noise, golden.ids("input_ids"), golden.ids("negative_ids"), settings);
    report.compare(golden, "latents", latents, report.bounds().values);
    report.compare(golden, "image", sampler.decode(latents), report.bounds().values);
}

}  // namespace lora::parity
