// What sampling and caching latents wait for: a UNet evaluation, a VAE decode, a VAE encode.
#include "bench.h"
#include "io/safetensors.h"
#include "models/family.h"
#include "profile.h"
#include "train/graph_runner.h"
#include "train/memory_usage.h"

namespace lora::bench {
namespace {

ir::Graph unet_graph(const models::ModelInfo& info,
                     const Options& options,
                     DType dtype,
                     int64_t batch) {
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{.builder = &b, .dtype = dtype, .lora = nullptr};
    const int64_t side = options.resolution_px / 8;
    const models::UNetInputs inputs{
        b.input("latents", DType::kF32, {batch, info.unet.in_channels, side, side}),
        b.input("timesteps", DType::kF32, {batch}),
        b.input("context", DType::kF32, {batch, 77, info.unet.context_size})};
    graph.mark_output(models::build_unet(net, info.unet, inputs), "result");
    return graph;
}

ir::Graph decoder_graph(const models::ModelInfo& info,
                        const Options& options,
                        DType dtype,
                        int64_t batch) {
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{.builder = &b, .dtype = dtype, .lora = nullptr};
    const int64_t side = options.resolution_px / 8;
    const ir::ValueId latents =
        b.input("latents", DType::kF32, {batch, info.vae.latent_channels, side, side});
    graph.mark_output(models::build_vae_decoder(net, info.vae, latents), "result");
    return graph;
}

ir::Graph encoder_graph(const models::ModelInfo& info,
                        const Options& options,
                        DType dtype,
                        int64_t batch) {
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{.builder = &b, .dtype = dtype, .lora = nullptr};
    const ir::ValueId image =
        b.input("image", DType::kF32, {batch, 3, options.resolution_px, options.resolution_px});
    const models::VaePosterior posterior = models::build_vae_encoder(net, info.vae, image);
    graph.mark_output(posterior.mean, "mean");
    graph.mark_output(posterior.logvar, "logvar");
    return graph;
}

void run_part(const Options& options,
              backend::Backend& backend,
              train::WeightStore& weights,
              DType dtype,
              std::pair<std::string, ir::Graph> part) {
    train::GraphRunner runner(backend, weights, std::move(part.second), {});
    const size_t resident = train::resident_bytes();
    const bool fresh_peak = train::reset_peak_resident();
    Profile p = profile(options, runner.executable(), [&] { runner.run(); });
    const size_t peak = train::peak_resident_bytes();
    if (options.floor) p = with_floor(std::move(p), runner.executable());
    OrderedJson line = line_start(backend, dtype);
    line["part"] = part.first;
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
        run_part(
            options, *backend, weights, dtype, {"unet", unet_graph(info, options, dtype, batch)});
        run_part(options,
                 *backend,
                 weights,
                 dtype,
                 {"vae_decoder", decoder_graph(info, options, dtype, batch)});
        run_part(options,
                 *backend,
                 weights,
                 dtype,
                 {"vae_encoder", encoder_graph(info, options, dtype, batch)});
    }
}

}  // namespace lora::bench
