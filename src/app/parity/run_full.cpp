// The case at full Stable Diffusion 1.5 size: weights, LoRA and inputs follow from names.
#include <algorithm>

#include <fmt/format.h>

#include "app/parity/parity.h"
#include "base/error.h"
#include "models/hash_model.h"
#include "train/graph_runner.h"
#include "train/optimizer.h"
#include "train/train_step.h"

namespace lora::parity {
namespace {

train::TrainModel full_model(DType dtype, const CaseFile& golden) {
    const models::ModelInfo info = models::sd15_info();
    std::vector<models::LoraModule> modules;
    for (models::LoraTarget& target : models::list_lora_targets(info, {.text_encoder = false})) {
        modules.push_back(models::make_lora_module(
            std::move(target), golden.integer("rank", 4), golden.number("alpha")));
    }
    train::TrainModelOptions options;
    options.dtype = dtype;
    options.train_text_encoder = false;
    return train::make_train_model(info, modules, options);
}

// Everything that the two sizes share.
struct FullRun {
    Bench* bench;
    const CaseFile* golden;
    Report* report;
    train::TrainModel model;
    train::WeightStore weights;
    train::ParameterBuffers buffers;
};

Shape shape_at(const CaseFile& golden, const std::string& tag) {
    const Json& sizes = golden.params.at("latent_shapes").at(tag);
    return Shape(sizes.get<std::vector<int64_t>>());
}

train::GraphRunner make_runner(FullRun& run, const train::StepShape& shape) {
    std::set<std::string> trained;
    train::TrainStepOptions options;
    options.keep_prediction = true;
    ir::Graph graph = train::build_step_graph(run.model, shape, options, trained);
    train::GraphRunner::Options runner_options;
    for (const train::ParameterEntry& entry : run.model.network.entries()) {
        const size_t offset = static_cast<size_t>(entry.offset) * sizeof(float);
        runner_options.bindings[entry.key] = {nullptr, run.buffers.values, offset};
        runner_options.bindings["grad." + entry.key] = {nullptr, run.buffers.gradients, offset};
    }
    return train::GraphRunner(
        run.bench->device(), run.weights, std::move(graph), std::move(runner_options));
}

void set_row(train::GraphRunner& runner, const char* name, std::vector<float> values) {
    const Shape shape{static_cast<int64_t>(values.size())};
    runner.set(name, Tensor::from_floats(shape, values).view());
}

void compare_gradient_norms(FullRun& run, const std::string& tag) {
    const std::vector<float> flat = train::read_floats(*run.buffers.gradients);
    std::vector<float> norms;
    for (const Json& key : run.golden->params.at("grad_norms_order")) {
        const train::ParameterEntry* entry = run.model.network.find(key.get<std::string>());
        if (entry == nullptr) {
            throw Error(ErrorCode::kFormat, "golden case: no parameter " + key.dump());
        }
        const auto part = std::span(flat).subspan(static_cast<size_t>(entry->offset),
                                                  static_cast<size_t>(entry->count));
        norms.push_back(
            static_cast<float>(norm_of(Tensor::from_floats(Shape{entry->count}, part).view())));
    }
    run.report->compare(*run.golden,
                        "grad_norms." + tag,
                        Tensor::from_floats(Shape{static_cast<int64_t>(norms.size())}, norms),
                        run.report->bounds().gradients);
}

void run_size(FullRun& run, const std::string& tag) {
    const CaseFile& golden = *run.golden;
    const Shape image = shape_at(golden, tag);
    const auto n = static_cast<size_t>(image[0]);
    const auto scale = static_cast<float>(golden.number("input_scale"));
    const int64_t tokens = golden.params.at("context_tokens").at(tag).get<int64_t>();
    const Shape context{image[0], tokens, run.model.info.unet.context_size};
    train::GraphRunner runner = make_runner(run, {image[0], image[2], image[3], (tokens - 2) / 75});
    runner.set("latents", models::hash_tensor("in.latents." + tag, image, scale).view());
    runner.set("noise", models::hash_tensor("in.noise." + tag, image, scale).view());
    runner.set("context", models::hash_tensor("in.context." + tag, context, scale).view());
    std::vector<float> timesteps;
    for (const Json& t : golden.params.at("timesteps")) timesteps.push_back(t.get<float>());
    timesteps.resize(n);
    set_row(runner, "timesteps", timesteps);
    set_row(runner, "loss_weights", std::vector<float>(n, 1.0F));
    // The UNet sees the latents as they are; the target is the noise.
    set_row(runner, "noisy.of_latent", std::vector<float>(n, 1.0F));
    set_row(runner, "noisy.of_noise", std::vector<float>(n, 0.0F));
    runner.run();
    run.report->compare(
        golden, "prediction." + tag, runner.get("prediction"), run.report->bounds().values);
    run.report->compare(
        golden, "loss." + tag, runner.get("loss").reshaped(Shape{1}), run.report->bounds().losses);
    compare_gradient_norms(run, tag);
}

}  // namespace

void run_full_unet(Bench& bench, const CaseFile& golden, Report& report) {
    FullRun run{&bench,
                &golden,
                &report,
                full_model(bench.dtype(), golden),
                train::WeightStore(bench.device()),
                {}};
    run.weights.add_source(hash_source(models::unet_tensors(run.model.info.unet)));
    const train::Network& network = run.model.network;
    run.buffers = train::make_parameter_buffers(bench.device(), network);
    std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
    const auto scale = static_cast<float>(golden.number("lora_scale_of_values"));
    for (const train::ParameterEntry& entry : network.entries()) {
        const Tensor part = models::hash_tensor(entry.key, entry.shape, scale);
        const std::span<const float> source = part.data<float>();
        std::copy(source.begin(), source.end(), values.begin() + entry.offset);
    }
    train::write_floats(*run.buffers.values, values);
    for (const auto& [tag, shape] : golden.params.at("latent_shapes").items()) run_size(run, tag);
}

}  // namespace lora::parity
