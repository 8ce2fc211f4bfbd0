#include "train/previews.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "io/png.h"
#include "train/save_names.h"

namespace lora::train {
std::string preview_name(const std::string& output_name,
                         const std::string& number,
                         size_t index,
                         const std::string& time,
                         std::optional<uint64_t> seed) {
    return fmt::format("{}{}{}_{:02}_{}{}.png",
                       output_name,
                       output_name.empty() ? "" : "_",
                       number,
                       index,
                       time,
                       seed ? fmt::format("_{}", *seed) : "");
}

void Previews::at_start() {
    if (parts_.options->at_first) draw_all(fmt::format("{:06}", 0), 0, 0);
}

void Previews::after_step(int64_t step, int64_t epoch) {
    if (parts_.options->every_n_epochs > 0) return;  // they win, as in sd-scripts
    if (saves_step(parts_.options->every_n_steps, step)) {
        draw_all(fmt::format("{:06}", step), step, epoch);
    }
}

void Previews::after_epoch(int64_t step, int64_t epoch) {
    const int64_t every = parts_.options->every_n_epochs;
    if (every > 0 && epoch % every == 0) draw_all(fmt::format("e{:06}", epoch), step, epoch);
}

std::unique_ptr<ImageSampler> Previews::make_sampler() const {
    ImageSamplerOptions options;
    options.dtype = parts_.model->dtype;
    options.quantize_base = parts_.model->quantize_base;
    options.clip_skip = std::max<int64_t>(1, parts_.model->clip_skip);
    options.lora = parts_.model->attachments;
    for (const ParameterEntry& entry : parts_.model->network.entries()) {
        options.parameters[entry.key] = {
            nullptr, parts_.buffers->values, static_cast<size_t>(entry.offset) * sizeof(float)};
    }
    models::ModelInfo info = parts_.model->info;
    info.vae = parts_.vae;
    info.v_prediction = parts_.model->prediction == diffusion::PredictionType::kVPrediction;
    return std::make_unique<ImageSampler>(
        *parts_.backend, *parts_.weights, std::move(info), std::move(options));
}

void Previews::draw_all(const std::string& number, int64_t step, int64_t epoch) {
    if (ended_ || parts_.options->prompts.empty()) return;
    const std::string folder = join_path(parts_.output_dir, "sample");
    const std::string time = time_stamp();
    ImageRequest otherwise;
    otherwise.width_px = otherwise.height_px = parts_.model->info.native_resolution_px;
    otherwise.sampler = parts_.options->sampler;
    const auto problem = attempt([&] {
        make_directories(folder);
        // Made anew each time, so that between previews nothing of it takes memory.
        const std::unique_ptr<ImageSampler> sampler = make_sampler();
        for (size_t i = 0; i < parts_.options->prompts.size(); ++i) {
            const SamplePrompt& prompt = parts_.options->prompts[i];
            // One picture keeps its numbers over the run, so that only the LoRA changes it.
            otherwise.seed = fnv1a64(fmt::format("{} {}", parts_.seed, i));
            const std::string path =
                join_path(folder, preview_name(parts_.output_name, number, i, time, prompt.seed));
            io::write_png(path,
                          sampler->sample(request_of(prompt, otherwise)),
                          {{"parameters", prompt.prompt}});
            parts_.events->on_event(
                PreviewDone{path, step, epoch, static_cast<int64_t>(i), prompt.prompt});
        }
    });
    if (!problem) return;
    ended_ = problem->code() == ErrorCode::kOutOfMemory;
    log::warning("preview not drawn: {}{}",
                 problem->message(),
                 ended_ ? "; the run goes on without previews" : "");
}

}  // namespace lora::train
