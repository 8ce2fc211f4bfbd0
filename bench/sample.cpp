// What sampling and caching latents wait for: a UNet evaluation, a VAE decode, a VAE encode.
#include "bench.h"
#include "io/safetensors.h"
#include "models/family.h"
#include "profile.h"
#include "train/graph_runner.h"
#include "train/memory_usage.h"

namespace lora::bench {
namespace {

struct Part {
    const char* name;
    ir::Graph graph;
};

std::vector<Part> parts_of(const models::ModelInfo& info,
                           const Options& options,
                           DType dtype,
                           int64_t batch) {
    const int64_t side_px = options.resolution_px;
    const int64_t side = side_px / 8;
    const Shape latents{batch, info.vae.latent_channels, side, side};
    const auto part = [&](const char* name, const auto& build) {
        Part out{name, {}};
        ir::Builder b(out.graph);
        build(out.graph, b, nn::NetContext{.builder = &b, .dtype = dtype, .lora = nullptr});
        return out;
    };
    std::vector<Part> out;
    out.push_back(part("unet", [&](ir::Graph& graph, ir::Builder& b, const nn::NetContext& net) {
        const models::UNetInputs inputs{
            b.input("latents", DType::kF32, {batch, info.unet.in_channels, side, side}),
            b.input("timesteps", DType::kF32, {batch}),
            b.input("context", DType::kF32, {batch, 77, info.unet.context_size})};
        graph.mark_output(models::build_unet(net, info.unet, inputs), "result");
    }));
    out.push_back(
        part("vae_decoder", [&](ir::Graph& graph, ir::Builder& b, const nn::NetContext& net) {
            const ir::ValueId value = b.input("latents", DType::kF32, latents);
            graph.mark_output(models::build_vae_decoder(net, info.vae, value), "result");
        }));
    out.push_back(
        part("vae_encoder", [&](ir::Graph& graph, ir::Builder& b, const nn::NetContext& net) {
            const ir::ValueId image = b.input("image", DType::kF32, {batch, 3, side_px, side_px});
            const models::VaePosterior made = models::build_vae_encoder(net, info.vae, image);
            graph.mark_output(made.mean, "mean");
            graph.mark_output(made.logvar, "logvar");
        }));
    return out;
}

void run_part(const Options& options,
              backend::Backend& backend,
              train::WeightStore& weights,
              DType dtype,
              Part part) {
    train::GraphRunner runner(backend, weights, std::move(part.graph), {});
    const size_t resident = train::resident_bytes();
    const bool fresh_peak = train::reset_peak_resident();
    Profile p = profile(options, runner.executable(), [&] { runner.run(); });
    const size_t peak = train::peak_resident_bytes();
    if (options.floor) p = with_floor(std::move(p), runner.executable());
    OrderedJson line = line_start(backend, dtype);
    line["part"] = part.name;
    line["width"] = options.resolution_px;
    line["ms"] = p.ms;
    line["floor_ms"] = p.floor_ms;
    line["planned_peak_bytes"] = runner.executable().plan().arena_bytes;
    line["measured_peak_bytes"] = fresh_peak && peak > resident ? peak - resident : 0;
    line["families"] = p.families;
    line["floor_families"] = p.floors;
    print_line(line);
    if (options.nodes) print_nodes(runner.executable(), p);
}

}  // namespace

void run_sample(const Options& options) {
    const std::unique_ptr<backend::Backend> backend = open_backend(options);
    const DType dtype = dtype_of(options, *backend);
    const auto file =
        std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(options.model));
    const models::ModelInfo info = models::detect_model(*file);
    train::WeightStore weights(*backend);
    weights.add_source(train::file_source(file));
    for (const int64_t batch : options.batches) {
        for (Part& part : parts_of(info, options, dtype, batch)) {
            run_part(options, *backend, weights, dtype, std::move(part));
        }
    }
}

}  // namespace lora::bench
