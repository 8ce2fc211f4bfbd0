#include "app/demo/probe.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/error.h"
#include "base/rng.h"
#include "data/image_transform.h"
#include "diffusion/noise_schedule.h"
#include "io/image_codec.h"
#include "text/clip_tokenizer.h"
#include "text/token_chunks.h"

namespace lora::app {
namespace {

// From nearly clean to nearly pure noise.
constexpr int64_t kTimesteps[] = {150, 350, 550, 750, 900};
constexpr uint64_t kProbeSeed = 20260131;

std::string first_line(const std::string& text) {
    std::string line = text.substr(0, text.find('\n'));
    while (line.ends_with('\r') || line.ends_with(' ')) line.pop_back();
    return line;
}

Tensor stacked_pixels(const std::vector<ProbePicture>& pictures) {
    const io::Image& first = pictures.front().image;
    const auto count = static_cast<int64_t>(pictures.size());
    Tensor all(DType::kF32, Shape{count, 3, first.height_px, first.width_px});
    std::byte* dst = all.bytes().data();
    for (const ProbePicture& picture : pictures) {
        const Tensor one = data::to_pixel_tensor(picture.image);
        std::memcpy(dst, one.bytes().data(), one.bytes().size());
        dst += one.bytes().size();
    }
    return all;
}

Tensor token_ids(const std::vector<ProbePicture>& pictures) {
    const text::ClipTokenizer tokenizer;
    Tensor ids(DType::kI32, Shape{static_cast<int64_t>(pictures.size()), 1, text::kWindowTokens});
    int32_t* dst = ids.data<int32_t>().data();
    for (const ProbePicture& picture : pictures) {
        const auto windows = text::sampling_chunks(
            tokenizer.encode(picture.caption), text::TextEncoderFamily::kSD1, 1);
        dst = std::copy(windows.front().begin(), windows.front().end(), dst);
    }
    return ids;
}

}  // namespace

std::vector<ProbePicture> read_probe_pictures(const std::string& folder) {
    std::vector<ProbePicture> pictures;
    for (const DirectoryEntry& entry : list_directory(folder)) {
        if (extension(entry.name) != ".png") continue;
        const std::string path = join_path(folder, entry.name);
        pictures.push_back({io::read_image_file(path),
                            first_line(read_text_file(without_extension(path) + ".txt"))});
        const io::Image& first = pictures.front().image;
        const io::Image& last = pictures.back().image;
        if (last.width_px != first.width_px || last.height_px != first.height_px) {
            throw Error(ErrorCode::kData, fmt::format("{} has another size than the others", path));
        }
    }
    if (pictures.empty()) {
        throw Error(ErrorCode::kData, fmt::format("there are no PNG pictures in {}", folder));
    }
    return pictures;
}

Probe::Probe(backend::Backend& backend, PictureMaker& maker, std::vector<ProbePicture> pictures)
    : backend_(&backend), maker_(&maker), pictures_(std::move(pictures)) {
    const models::VaeConfig& vae = maker.info().vae;
    const Tensor pixels = stacked_pixels(pictures_);
    ir::Graph graph;
    ir::Builder builder(graph);
    const nn::NetContext net{&builder, maker_->dtype()};
    const auto image = builder.input("image", DType::kF32, pixels.shape());
    graph.mark_output(models::build_vae_encoder(net, vae, image).mean, "mean");
    train::GraphRunner runner(backend, maker.weights(), std::move(graph), {});
    runner.set("image", pixels.view());
    runner.run();
    latents_ = runner.get("mean");
    for (float& value : latents_.data<float>()) value *= static_cast<float>(vae.latent_scale);
    noise_ = Tensor(DType::kF32, latents_.shape());
    Rng(kProbeSeed, RngStream::kProbe).fill_normal(noise_.data<float>());
}

double Probe::loss(const std::vector<double>& weights) {
    const int64_t count = latents_.shape()[0];
    const Tensor context = maker_->sampler(weights)->encode(token_ids(pictures_));
    const nn::LoraAttachments branches = maker_->attachments(weights);
    ir::Graph graph;
    ir::Builder builder(graph);
    const nn::NetContext net{&builder, maker_->dtype(), &branches};
    const models::UNetInputs inputs{
        .latents = builder.input("latents", DType::kF32, latents_.shape()),
        .timesteps = builder.input("timesteps", DType::kF32, Shape{count}),
        .context = builder.input("context", DType::kF32, context.shape())};
    graph.mark_output(models::build_unet(net, maker_->info().unet, inputs), "prediction");
    train::GraphRunner runner(*backend_, maker_->weights(), std::move(graph), {});
    runner.set("context", context.view());

    const diffusion::NoiseSchedule schedule;
    const auto noise = noise_.data<float>();
    double sum = 0;
    for (const int64_t t : kTimesteps) {
        const auto keep = static_cast<float>(std::sqrt(schedule.alphas_cumprod(t)));
        const auto add = static_cast<float>(std::sqrt(1 - schedule.alphas_cumprod(t)));
        Tensor noisy = Tensor::copy_of(latents_.view());
        const auto values = noisy.data<float>();
        for (size_t i = 0; i < values.size(); ++i) values[i] = keep * values[i] + add * noise[i];
        const std::vector<float> steps(static_cast<size_t>(count), static_cast<float>(t));
        runner.set("latents", noisy.view());
        runner.set("timesteps", Tensor::from_floats(Shape{count}, steps).view());
        runner.run();
        const Tensor prediction = runner.get("prediction");
        const auto answer = prediction.data<float>();
        for (size_t i = 0; i < answer.size(); ++i) {
            const double d = static_cast<double>(answer[i]) - static_cast<double>(noise[i]);
            sum += d * d;
        }
    }
    return sum / (static_cast<double>(noise.size()) * static_cast<double>(std::size(kTimesteps)));
}

}  // namespace lora::app
