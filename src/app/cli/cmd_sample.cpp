// `lora sample`: a prompt, a model and LoRA files to PNG pictures.
#include <chrono>
#include <random>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/precision.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/stop.h"
#include "app/cli/terminal.h"
#include "app/picture_maker.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "config/sample_prompts.h"
#include "io/png.h"

namespace lora::app {
namespace {

// "file" or "file:0.8"; a drive letter's colon is no weight.
LoraUse parse_lora(const std::string& text, double default_weight) {
    const size_t colon = text.rfind(':');
    if (colon != std::string::npos && colon > 0) {
        const auto weight = config::parse_float(std::string_view(text).substr(colon + 1));
        if (weight && !path_exists(text)) return {text.substr(0, colon), *weight};
    }
    return {text, default_weight};
}

struct Job {
    train::ImageRequest request;
    std::string model_path;
    std::vector<LoraUse> loras;
    int64_t clip_skip = 1;
};

// The text that AUTOMATIC1111 writes and reads under the key `parameters`.
std::string parameters_text(const Job& job) {
    std::string text = job.request.prompt;
    for (const LoraUse& use : job.loras) {
        text += fmt::format(" <lora:{}:{}>", without_extension(base_name(use.path)), use.weight);
    }
    if (!job.request.negative_prompt.empty()) {
        text += "\nNegative prompt: " + job.request.negative_prompt;
    }
    text += fmt::format("\nSteps: {}, Sampler: {}, CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
                        job.request.num_steps,
                        diffusion::sampler_label(job.request.sampler),
                        job.request.cfg_scale,
                        job.request.seed,
                        job.request.width_px,
                        job.request.height_px,
                        without_extension(base_name(job.model_path)));
    if (job.clip_skip > 1) text += fmt::format(", Clip skip: {}", job.clip_skip);
    return text + fmt::format(", Version: lora {}", LORA_VERSION);
}

uint64_t drawn_seed() {
    std::random_device device;
    return device();
}

std::string numbered(const std::string& path, int64_t index, int64_t count) {
    if (count == 1) return path;
    return fmt::format("{}-{:04}{}", without_extension(path), index + 1, extension(path));
}

Job make_job(const config::Settings& settings, const models::ModelInfo& info) {
    Job job;
    job.model_path = settings.text("model");
    job.clip_skip = settings.has("clip_skip") ? settings.integer("clip_skip") : info.clip_skip;
    train::ImageRequest& request = job.request;
    request.prompt = settings.text("prompt");
    request.negative_prompt = settings.text("negative_prompt");
    const int64_t native = info.native_resolution_px;
    request.width_px = settings.has("width") ? settings.integer("width") : native;
    request.height_px = settings.has("height") ? settings.integer("height") : native;
    request.seed =
        settings.has("seed") ? static_cast<uint64_t>(settings.integer("seed")) : drawn_seed();
    request.sampler = diffusion::sampler_from_name(settings.text("sampler"))
                          .value_or(diffusion::SamplerKind::kDdim);
    request.num_steps = settings.integer("steps");
    request.cfg_scale = settings.number("scale");
    for (const std::string& word : settings.list("lora")) {
        job.loras.push_back(parse_lora(word, settings.number("lora_weight")));
    }
    return job;
}

// What can be told before anything is opened.
Diagnostics judge(const config::Settings& settings) {
    Diagnostics findings;
    const auto error = [&](const char* option, std::string text, std::string hint) {
        findings.push_back(
            {Severity::kError, settings.place(option), std::move(text), std::move(hint)});
    };
    if (settings.text("model").empty()) {
        error("model", "model is missing", "name the base model's .safetensors file");
    }
    const bool has_file = !settings.text("from_file").empty();
    if (!settings.has("prompt") && !has_file) {
        error("prompt", "prompt is missing", "say what to draw");
    } else if (settings.has("prompt") && has_file) {
        error("from_file", "prompt and from_file are both given", "leave one of them out");
    }
    for (const char* side : {"width", "height"}) {
        if (settings.integer(side) % 8 == 0) continue;
        error(side, fmt::format("{} is not a multiple of 8", settings.integer(side)), "");
    }
    const std::string out = settings.text("out");
    if (extension(out) != ".png") {
        error("out", fmt::format("{} does not end in .png", out), "pictures are written as PNG");
    }
    return findings;
}

ModelUse model_of(const config::Settings& settings) {
    ModelUse model{.path = settings.text("model"), .vae = settings.text("vae")};
    if (settings.has("v_parameterization"))
        model.v_prediction = settings.flag("v_parameterization");
    return model;
}

// A line of the prompt file; what the command line says itself counts for all.
train::ImageRequest request_of(const train::SamplePrompt& line,
                               const config::Settings& settings,
                               const train::ImageRequest& common) {
    train::ImageRequest request = train::request_of(line, common);
    if (settings.given("negative_prompt")) request.negative_prompt = common.negative_prompt;
    if (settings.given("width")) request.width_px = common.width_px;
    if (settings.given("height")) request.height_px = common.height_px;
    if (settings.given("steps")) request.num_steps = common.num_steps;
    if (settings.given("scale")) request.cfg_scale = common.cfg_scale;
    if (settings.given("sampler")) request.sampler = common.sampler;
    if (settings.given("seed")) request.seed = common.seed;
    return request;
}

// What is to be drawn: the prompt, or the lines of the file, each as often as `images` says under
// the next seeds.
std::vector<train::ImageRequest> requests_of(const Job& job, const config::Settings& settings) {
    std::vector<train::ImageRequest> lines;
    const std::string path = settings.text("from_file");
    if (path.empty()) {
        lines.push_back(job.request);
    } else {
        Diagnostics findings;
        for (const train::SamplePrompt& line : config::load_sample_prompts(path, findings)) {
            lines.push_back(request_of(line, settings, job.request));
            // Lines without a seed of their own follow each other.
            if (!line.seed || settings.given("seed")) lines.back().seed += lines.size() - 1;
        }
        log_warnings(findings);
        if (lines.empty()) {
            throw Error(ErrorCode::kData, fmt::format("{} holds no prompt", path));
        }
    }
    std::vector<train::ImageRequest> out;
    for (const train::ImageRequest& line : lines) {
        for (int64_t i = 0; i < settings.integer("images"); ++i) {
            out.push_back(line);
            out.back().seed += static_cast<uint64_t>(i);
        }
    }
    return out;
}

// Draws the pictures and prints their paths.
void draw_all(Job& job,
              const std::vector<train::ImageRequest>& requests,
              train::ImageSampler& sampler,
              const config::Settings& settings) {
    const StopSignals signals;
    const auto token = signals.token();
    const bool bar = stderr_is_terminal();
    OrderedJson files = OrderedJson::array();
    for (size_t i = 0; i < requests.size(); ++i) {
        job.request = requests[i];
        job.request.on_step = [&](int64_t done) {
            if (bar) {
                print_err(fmt::format("\rpicture {}/{} step {}/{} ",
                                      i + 1,
                                      requests.size(),
                                      done,
                                      job.request.num_steps));
            }
            if (token.stop_requested()) {
                throw Error(ErrorCode::kCancelled,
                            i == 0 ? std::string("stopped; no picture was written")
                                   : fmt::format("stopped after {} pictures", i));
            }
        };
        const auto start = std::chrono::steady_clock::now();
        const io::Image image = sampler.sample(job.request);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (bar) print_err("\r\x1b[K");
        const std::string path = numbered(
            settings.text("out"), static_cast<int64_t>(i), static_cast<int64_t>(requests.size()));
        if (!parent_path(path).empty()) make_directories(parent_path(path));
        io::write_png(path, image, {{"parameters", parameters_text(job)}});
        log::info("seed {}, {}", job.request.seed, duration_text(took.count()));
        if (settings.flag("json")) {
            files.push_back(
                {{"file", path}, {"seed", job.request.seed}, {"seconds", took.count()}});
        } else {
            print_out(path + "\n");
        }
    }
    if (settings.flag("json")) print_json({{"pictures", files}});
}

}  // namespace

int run_sample(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    raise_errors(judge(settings));
    const auto backend = open_backend(context, settings);
    const std::string precision = choose_precision(settings.text("mixed_precision"), *backend);
    PictureMaker maker(*backend, model_of(settings), precision_dtype(precision));
    if (settings.flag("v2") && maker.info().family != models::Family::kSD2) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("v2 is given, but {} is a Stable Diffusion 1.x model",
                                settings.text("model")))
            .with_hint("leave out --v2; what a model is, is read from its shapes");
    }
    Job job = make_job(settings, maker.info());
    const std::vector<train::ImageRequest> requests = requests_of(job, settings);
    std::vector<double> weights;
    for (const LoraUse& use : job.loras) {
        maker.add_lora(use.path);
        weights.push_back(use.weight);
    }
    const auto sampler = maker.sampler(weights, job.clip_skip);
    draw_all(job, requests, *sampler, settings);
    return 0;
}

}  // namespace lora::app
