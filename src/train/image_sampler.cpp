#include "train/image_sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"
#include "text/prompt_weights.h"
#include "text/token_chunks.h"
#include "train/internal/picture_network.h"

namespace lora::train {
namespace {

// The decoder's arena where nobody sets a limit: 1024 x 1024 pixels at once in bf16.
constexpr size_t kMaxDecoderBytes = size_t{2} << 30U;

diffusion::PredictionType prediction_of(const models::ModelInfo& info) {
    return info.v_prediction ? diffusion::PredictionType::kVPrediction
                             : diffusion::PredictionType::kEpsilon;
}

// Token sequences as windows [N, num_chunks, 77].
Tensor to_tensor(const std::vector<text::WeightedTokens>& prompts, int64_t num_chunks) {
    Tensor ids(DType::kI32,
               Shape{static_cast<int64_t>(prompts.size()), num_chunks, text::kWindowTokens});
    int32_t* dst = ids.data<int32_t>().data();
    for (const text::WeightedTokens& prompt : prompts) {
        const auto windows =
            text::sampling_chunks(prompt.ids, text::TextEncoderFamily::kSD1, num_chunks);
        for (const std::vector<int32_t>& window : windows)
            dst = std::copy(window.begin(), window.end(), dst);
    }
    return ids;
}

// a above b along the first axis.
Tensor stack(const Tensor& a, const Tensor& b) {
    std::vector<int64_t> sizes = a.shape().sizes();
    sizes[0] += b.shape()[0];
    Tensor both(a.dtype(), Shape(sizes));
    std::memcpy(both.bytes().data(), a.bytes().data(), a.bytes().size());
    std::memcpy(both.bytes().data() + a.bytes().size(), b.bytes().data(), b.bytes().size());
    return both;
}

void check_finite(std::span<const float> values, const char* what) {
    for (const float value : values) {
        if (!std::isfinite(value)) {
            throw Error(ErrorCode::kNumeric, fmt::format("{} is not finite", what))
                .with_hint("try --mixed_precision no, or a smaller LoRA weight");
        }
    }
}

// The guided answer: negative + scale (positive - negative); one answer when there is only one.
void guide(std::span<const float> answers, double cfg_scale, std::span<float> dst) {
    if (answers.size() == dst.size()) {
        std::copy(answers.begin(), answers.end(), dst.begin());
        return;
    }
    const auto scale = static_cast<float>(cfg_scale);
    for (size_t i = 0; i < dst.size(); ++i) {
        const float negative = answers[i];
        dst[i] = negative + scale * (answers[dst.size() + i] - negative);
    }
}

// Multiplies the states of each position of a prompt, then all of them so that their mean stays
// what it was.
void weigh(std::span<float> values, std::span<const float> weights) {
    const bool plain =
        std::all_of(weights.begin(), weights.end(), [](float weight) { return weight == 1; });
    if (plain) return;
    const size_t width = values.size() / weights.size();
    double before = 0;
    double after = 0;
    for (size_t i = 0; i < values.size(); ++i) {
        before += static_cast<double>(values[i]);
        values[i] *= weights[i / width];
        after += static_cast<double>(values[i]);
    }
    if (after == 0) return;
    for (float& value : values) value *= static_cast<float>(before / after);
}

// Prompt by prompt; no weights: all 1.
void weigh(Tensor& context, const std::vector<float>& weights) {
    if (weights.empty()) return;
    const auto prompts = static_cast<size_t>(context.shape()[0]);
    const std::span<float> values = context.data<float>();
    const size_t length = values.size() / prompts;
    const size_t positions = weights.size() / prompts;
    for (size_t i = 0; i < prompts; ++i) {
        weigh(values.subspan(i * length, length),
              std::span(weights).subspan(i * positions, positions));
    }
}

// A weight for each of 77 positions a window, prompt after prompt: 1 for begin, end and padding.
std::vector<float> window_weights(const std::vector<text::WeightedTokens>& prompts,
                                  int64_t num_chunks) {
    const auto positions = static_cast<size_t>(num_chunks * text::kWindowTokens);
    std::vector<float> out(prompts.size() * positions, 1.0F);
    constexpr auto kText = static_cast<size_t>(text::kWindowText);
    for (size_t p = 0; p < prompts.size(); ++p) {
        const std::vector<float>& weights = prompts[p].weights;
        for (size_t i = 0; i < weights.size(); ++i) {
            const size_t window = i / kText * static_cast<size_t>(text::kWindowTokens);
            out[p * positions + window + 1 + i % kText] = weights[i];
        }
    }
    return out;
}

}  // namespace

io::Image to_image(const Tensor& planes, int64_t index) {
    const Shape& shape = planes.shape();  // [N, 3, H, W]
    io::Image image{shape[2], shape[3], {}};
    const auto pixels = static_cast<size_t>(shape[2] * shape[3]);
    const std::span<const float> values =
        planes.data<float>().subspan(static_cast<size_t>(index) * 3 * pixels, 3 * pixels);
    image.rgb.resize(3 * pixels);
    for (size_t i = 0; i < pixels; ++i) {
        for (size_t c = 0; c < 3; ++c) {
            const float unit = std::clamp(values[c * pixels + i] * 0.5F + 0.5F, 0.0F, 1.0F);
            image.rgb[3 * i + c] = static_cast<uint8_t>(std::lround(unit * 255.0F));
        }
    }
    return image;
}

ImageSampler::ImageSampler(backend::Backend& backend,
                           WeightStore& weights,
                           models::ModelInfo info,
                           ImageSamplerOptions options)
    : backend_(&backend),
      weights_(&weights),
      info_(std::move(info)),
      options_(std::move(options)) {}

ImageSampler::~ImageSampler() = default;

GraphRunner& ImageSampler::keep(const std::string& key, ir::Graph graph) {
    GraphRunner::Options options;
    options.plan.max_arena_bytes = options_.max_arena_bytes;
    for (const ir::Value& value : graph.values()) {
        if (value.kind == ir::ValueKind::kParam) {
            options.bindings[value.name] = options_.parameters.at(value.name);
        }
    }
    auto runner =
        std::make_unique<GraphRunner>(*backend_, *weights_, std::move(graph), std::move(options));
    return *(runners_[key] = std::move(runner));
}

GraphRunner& ImageSampler::text_runner(const Shape& ids) {
    const std::string key = "text " + ids.to_string();
    if (const auto it = runners_.find(key); it != runners_.end()) return *it->second;
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{&b, options_.dtype, &options_.lora, options_.quantize_base};
    const nn::ValueId input = b.input("ids", DType::kI32, Shape{ids[0] * ids[1], ids[2]});
    const nn::ValueId states = models::build_clip_text(net, info_.text, input, options_.clip_skip);
    const nn::ValueId context = models::stack_chunks(net, b.cast(states, DType::kF32), ids[1]);
    graph.mark_output(context, "context");
    return keep(key, std::move(graph));
}

GraphRunner& ImageSampler::unet_runner(const Shape& latents, const Shape& context) {
    const std::string key = "unet " + latents.to_string() + context.to_string();
    if (const auto it = runners_.find(key); it != runners_.end()) return *it->second;
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{&b, options_.dtype, &options_.lora, options_.quantize_base};
    const nn::ValueId prediction =
        models::build_unet(net,
                           info_.unet,
                           {.latents = b.input("latents", DType::kF32, latents),
                            .timesteps = b.input("timesteps", DType::kF32, Shape{latents[0]}),
                            .context = b.input("context", DType::kF32, context)});
    graph.mark_output(prediction, "prediction");
    return keep(key, std::move(graph));
}

PictureGraph ImageSampler::decoder_graph() const {
    const auto build = [vae = info_.vae, dtype = options_.dtype](const Shape& input) {
        ir::Graph graph;
        ir::Builder b(graph);
        const nn::NetContext net{&b, dtype};
        graph.mark_output(
            models::build_vae_decoder(net, vae, b.input("latents", DType::kF32, input)), "image");
        return graph;
    };
    PictureGraph graph{.build = build, .input = "latents", .outputs = {"image"}, .tiles = {}};
    for (const int64_t tile : {128, 96, 64, 48, 32}) {
        graph.tiles.push_back(
            {.tile = tile, .overlap = tile / 4, .out_per = info_.vae.px_per_latent(), .in_per = 1});
    }
    return graph;
}

Tensor ImageSampler::encode(const Tensor& ids) {
    GraphRunner& runner = text_runner(ids.shape());
    runner.set("ids", ids.view());
    runner.run();
    return runner.get("context");
}

Tensor ImageSampler::batch_context(const Tensor& ids,
                                   const Tensor& negative_ids,
                                   const DenoiseSettings& settings) {
    Tensor positive = encode(ids);
    weigh(positive, settings.weights);
    if (settings.cfg_scale == 1) return positive;
    Tensor negative = encode(negative_ids);
    weigh(negative, settings.negative_weights);
    return stack(negative, positive);
}

Tensor ImageSampler::denoise(const Tensor& noise,
                             const Tensor& ids,
                             const Tensor& negative_ids,
                             const DenoiseSettings& settings) {
    diffusion::Sampler sampler(settings.sampler, settings.num_steps, prediction_of(info_));
    const bool guided = settings.cfg_scale != 1;
    const Tensor context = batch_context(ids, negative_ids, settings);
    GraphRunner& unet =
        unet_runner(guided ? stack(noise, noise).shape() : noise.shape(), context.shape());
    unet.set("context", context.view());

    Tensor latents = Tensor::copy_of(noise.view());
    const std::span<float> sample = latents.data<float>();
    for (float& value : sample) value *= static_cast<float>(sampler.initial_scale());
    std::vector<float> guided_answer(sample.size());
    std::vector<float> fresh(sampler.needs_noise() ? sample.size() : 0);
    for (int64_t step = 0; step < sampler.num_calls(); ++step) {
        Tensor seen = Tensor::copy_of(latents.view());
        const auto scale = static_cast<float>(sampler.input_scale(step));
        for (float& value : seen.data<float>()) value *= scale;
        if (guided) seen = stack(seen, seen);
        const auto t = static_cast<float>(sampler.timesteps()[static_cast<size_t>(step)]);
        const std::vector<float> timesteps(static_cast<size_t>(seen.shape()[0]), t);
        unet.set("latents", seen.view());
        unet.set("timesteps", Tensor::from_floats(Shape{seen.shape()[0]}, timesteps).view());
        unet.run();
        const Tensor answers = unet.get("prediction");
        guide(answers.data<float>(), settings.cfg_scale, guided_answer);
        if (sampler.needs_noise()) settings.step_noise(step, fresh);
        sampler.step(step, guided_answer, fresh, sample);
        // Some samplers ask twice a step.
        if (settings.on_step) {
            settings.on_step((step + 1) * settings.num_steps / sampler.num_calls());
        }
    }
    check_finite(sample, "the sampled latent");
    return latents;
}

Tensor ImageSampler::decode(const Tensor& latents) {
    if (!decoder_) {
        decoder_ = std::make_unique<PictureNetwork>(
            *backend_,
            *weights_,
            decoder_graph(),
            options_.max_arena_bytes > 0 ? options_.max_arena_bytes : kMaxDecoderBytes);
    }
    return std::move(decoder_->run(latents.view()).front());
}

ImageRequest request_of(const SamplePrompt& prompt, ImageRequest otherwise) {
    const auto side_px = [](int64_t wanted, int64_t open) {
        const int64_t side = wanted > 0 ? wanted : open;
        return std::max<int64_t>(64, side - side % 8);
    };
    ImageRequest request = std::move(otherwise);
    request.prompt = prompt.prompt;
    request.negative_prompt = prompt.negative_prompt;
    request.width_px = side_px(prompt.width_px, request.width_px);
    request.height_px = side_px(prompt.height_px, request.height_px);
    request.num_steps = prompt.num_steps;
    request.cfg_scale = prompt.cfg_scale;
    if (prompt.sampler) request.sampler = *prompt.sampler;
    if (prompt.seed) request.seed = *prompt.seed;
    return request;
}

ImageSampler::Chunks ImageSampler::tokenize(std::span<const ImageRequest> requests) const {
    std::vector<text::WeightedTokens> positive;
    std::vector<text::WeightedTokens> negative;
    size_t longest = 0;
    for (const ImageRequest& request : requests) {
        positive.push_back(text::encode_weighted(tokenizer_, request.prompt));
        negative.push_back(text::encode_weighted(tokenizer_, request.negative_prompt));
        longest = std::max({longest, positive.back().ids.size(), negative.back().ids.size()});
    }
    const int64_t num_chunks = std::max<int64_t>(
        1, (static_cast<int64_t>(longest) + text::kWindowText - 1) / text::kWindowText);
    return {to_tensor(positive, num_chunks),
            to_tensor(negative, num_chunks),
            window_weights(positive, num_chunks),
            window_weights(negative, num_chunks)};
}

void ImageSampler::check_request(const ImageRequest& request) const {
    const int64_t step_px = info_.vae.px_per_latent();
    if (request.width_px < step_px || request.height_px < step_px ||
        request.width_px % step_px != 0 || request.height_px % step_px != 0) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("picture size {}x{}: both sides must be multiples of {}",
                                request.width_px,
                                request.height_px,
                                step_px));
    }
}

io::Image ImageSampler::sample(const ImageRequest& request) {
    return std::move(sample(std::span(&request, 1)).front());
}

std::vector<io::Image> ImageSampler::sample(std::span<const ImageRequest> requests) {
    LORA_CHECK(!requests.empty(), "no picture to make");
    const ImageRequest& first = requests.front();
    check_request(first);
    for (const ImageRequest& request : requests) {
        LORA_CHECK(request.width_px == first.width_px && request.height_px == first.height_px &&
                       request.sampler == first.sampler && request.num_steps == first.num_steps &&
                       request.cfg_scale == first.cfg_scale,
                   "pictures made side by side differ in size or settings");
    }
    const int64_t step_px = info_.vae.px_per_latent();
    const auto count = static_cast<int64_t>(requests.size());
    Tensor noise(
        DType::kF32,
        Shape{
            count, info_.vae.latent_channels, first.height_px / step_px, first.width_px / step_px});
    // Numbers of every picture's own stream, side by side.
    const auto fill = [&requests](uint64_t index, std::span<float> dst) {
        const size_t each = dst.size() / requests.size();
        for (size_t i = 0; i < requests.size(); ++i) {
            Rng(requests[i].seed, RngStream::kSampler, index)
                .fill_normal(dst.subspan(i * each, each));
        }
    };
    fill(0, noise.data<float>());
    DenoiseSettings settings;
    settings.sampler = first.sampler;
    settings.num_steps = first.num_steps;
    settings.cfg_scale = first.cfg_scale;
    settings.on_step = first.on_step;
    settings.step_noise = [&fill](int64_t step, std::span<float> dst) {
        fill(static_cast<uint64_t>(step) + 1, dst);
    };
    const Chunks chunks = tokenize(requests);
    settings.weights = chunks.weights;
    settings.negative_weights = chunks.negative_weights;
    const Tensor planes = decode(denoise(noise, chunks.positive, chunks.negative, settings));
    check_finite(planes.data<float>(), "the decoded picture");
    std::vector<io::Image> images;
    for (int64_t i = 0; i < count; ++i) images.push_back(to_image(planes, i));
    return images;
}

}  // namespace lora::train
