// From a prompt to a picture: text encoder, guided denoising, VAE decoder. Used by `lora sample`,
// the demo and the previews of a training. Not the steps' arithmetic (diffusion/sampler.h). Shapes
// latents [N, 4, H/8, W/8] fp32; ids [N, C, 77] I32, C windows a prompt, each giving 77
//          context positions.
// Errors   kConfig for sizes or step counts that are impossible, kNumeric when the result is not
//          finite, and what on_step throws.
// Threads  one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "diffusion/sampler.h"
#include "io/image_codec.h"
#include "models/family.h"
#include "text/clip_tokenizer.h"
#include "train/graph_runner.h"
#include "train/train_options.h"

namespace lora::train {

struct PictureGraph;
class PictureNetwork;

struct ImageSamplerOptions {
    DType dtype = DType::kF32;
    bool quantize_base = false;  // the frozen weights of text encoder and UNet in 8 bits
    int64_t clip_skip = 1;
    // Branches of LoRA files (their weights must be in the store), or the trainable ones of a run,
    // whose buffers then stand in `parameters`.
    nn::LoraAttachments lora;
    backend::Bindings parameters;
    // The device limit for one network, 0: none. A picture that the decoder finds too large is
    // decoded in tiles (picture_network.h), which without a limit begins at 2 GiB.
    size_t max_arena_bytes = 0;
};

struct DenoiseSettings {
    diffusion::SamplerKind sampler = diffusion::SamplerKind::kEulerA;
    int64_t num_steps = 28;
    double cfg_scale = 7;  // 1: the negative prompt plays no part
    // One weight a context position of each (negative) prompt, [N, 77 C]; empty: all 1.
    std::vector<float> weights;
    std::vector<float> negative_weights;
    // Fresh N(0, 1) numbers for a step; called by samplers that need them.
    std::function<void(int64_t step, std::span<float> dst)> step_noise;
    // After every step; may throw to stop.
    std::function<void(int64_t steps_done)> on_step;
};

struct ImageRequest {
    std::string prompt;  // with weights, text/prompt_weights.h
    std::string negative_prompt;
    int64_t width_px = 512;  // multiples of 8
    int64_t height_px = 512;
    uint64_t seed = 0;  // the whole picture follows from it
    diffusion::SamplerKind sampler = diffusion::SamplerKind::kEulerA;
    int64_t num_steps = 28;
    double cfg_scale = 7;
    std::function<void(int64_t steps_done)> on_step;
};

// What a line of a prompt file asks for; sides, seed and sampler that it leaves open are those of
// `otherwise`. Sides are rounded down to multiples of 8 and are 64 at least.
[[nodiscard]] ImageRequest request_of(const SamplePrompt& prompt, ImageRequest otherwise);

class ImageSampler {
public:
    // Backend and store must outlive the sampler; the store knows the model file and the LoRA
    // files.
    ImageSampler(backend::Backend& backend,
                 WeightStore& weights,
                 models::ModelInfo info,
                 ImageSamplerOptions options);
    ~ImageSampler();

    [[nodiscard]] io::Image sample(const ImageRequest& request);
    // Pictures of one size, sampler, step count and cfg_scale, made side by side: a card needs
    // little longer for sixteen small ones than for one. Each follows from its own seed; on_step is
    // the first request's. All prompts get as many windows as the longest one needs.
    [[nodiscard]] std::vector<io::Image> sample(std::span<const ImageRequest> requests);

    // The parts, for parity and tests.
    // ids [N, C, 77] -> context [N, 77 C, D] fp32.
    [[nodiscard]] Tensor encode(const Tensor& ids);
    // Noise N(0, 1) [N, 4, h, w] -> latents, scaled.
    [[nodiscard]] Tensor denoise(const Tensor& noise,
                                 const Tensor& ids,
                                 const Tensor& negative_ids,
                                 const DenoiseSettings& settings);
    // Latents -> pictures [N, 3, H, W], about -1..1.
    [[nodiscard]] Tensor decode(const Tensor& latents);

private:
    struct Chunks {
        Tensor positive;
        Tensor negative;
        std::vector<float> weights;
        std::vector<float> negative_weights;
    };
    // Errors  kConfig when the size is impossible.
    void check_request(const ImageRequest& request) const;
    [[nodiscard]] Chunks tokenize(std::span<const ImageRequest> requests) const;
    // Context of the whole batch: negative first when guided.
    [[nodiscard]] Tensor batch_context(const Tensor& ids,
                                       const Tensor& negative_ids,
                                       const DenoiseSettings& settings);
    [[nodiscard]] GraphRunner& text_runner(const Shape& ids);
    [[nodiscard]] GraphRunner& unet_runner(const Shape& latents, const Shape& context);
    [[nodiscard]] PictureGraph decoder_graph() const;
    GraphRunner& keep(const std::string& key, ir::Graph graph);

    backend::Backend* backend_;
    WeightStore* weights_;
    models::ModelInfo info_;
    ImageSamplerOptions options_;
    text::ClipTokenizer tokenizer_;
    std::map<std::string, std::unique_ptr<GraphRunner>> runners_;  // by network and shapes
    std::unique_ptr<PictureNetwork> decoder_;
};

// Planes of -1..1 to 8-bit pixels; picture `index` of [N, 3, H, W].
[[nodiscard]] io::Image to_image(const Tensor& planes, int64_t index);

}  // namespace lora::train
