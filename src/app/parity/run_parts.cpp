// Cases of a single network: text encoder, VAE, UNet.
#include "app/parity/parity.h"
#include "train/graph_runner.h"

namespace lora::parity {
namespace {

using train::GraphRunner;

GraphRunner make_runner(Bench& bench, ir::Graph graph) {
    return GraphRunner(bench.device(), bench.weights(), std::move(graph), {});
}

}  // namespace

void run_clip_text(Bench& bench, const CaseFile& golden, Report& report) {
    const Tensor ids = golden.ids("input_ids");
    const Shape& shape = ids.shape();  // [N, C, 77]
    for (const int64_t skip : {1, 2}) {
        const std::string name = "context_skip" + std::to_string(skip);
        if (!golden.has("out." + name)) continue;
        ir::Graph graph;
        ir::Builder b(graph);
        const nn::NetContext net{&b, bench.dtype()};
        const nn::ValueId input = b.input("ids", DType::kI32, Shape{shape[0] * shape[1], shape[2]});
        const nn::ValueId states = models::build_clip_text(net, bench.info().text, input, skip);
        graph.mark_output(b.cast(models::join_chunks(net, states, shape[1]), DType::kF32),
                          "context");
        GraphRunner runner = make_runner(bench, std::move(graph));
        runner.set("ids", ids.view());
        runner.run();
        report.compare(golden, name, runner.get("context"), report.bounds().values);
    }
}

void run_vae(Bench& bench, const CaseFile& golden, Report& report) {
    const models::VaeConfig& config = bench.info().vae;
    const double bound = report.bounds().values;
    if (golden.has("in.image")) {
        const Tensor image = golden.floats("image");
        ir::Graph graph;
        ir::Builder b(graph);
        const models::VaePosterior posterior = models::build_vae_encoder(
            {&b, bench.dtype()}, config, b.input("image", DType::kF32, image.shape()));
        graph.mark_output(posterior.mean, "mean");
        graph.mark_output(posterior.logvar, "logvar");
        GraphRunner runner = make_runner(bench, std::move(graph));
        runner.set("image", image.view());
        runner.run();
        report.compare(golden, "mean", runner.get("mean"), bound);
        report.compare(golden, "logvar", runner.get("logvar"), bound);
    }
    if (golden.has("in.latents")) {
        const Tensor latents = golden.floats("latents");
        ir::Graph graph;
        ir::Builder b(graph);
        graph.mark_output(
            models::build_vae_decoder(
                {&b, bench.dtype()}, config, b.input("latents", DType::kF32, latents.shape())),
            "image");
        GraphRunner runner = make_runner(bench, std::move(graph));
        runner.set("latents", latents.view());
        runner.run();
        report.compare(golden, "image", runner.get("image"), bound);
    }
}

void run_unet(Bench& bench, const CaseFile& golden, Report& report) {
    const Tensor latents = golden.floats("latents");
    const Tensor timesteps = golden.floats("timesteps");
    const Tensor context = golden.floats("context");
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::ValueId prediction =
        models::build_unet({&b, bench.dtype()},
                           bench.info().unet,
                           {.latents = b.input("latents", DType::kF32, latents.shape()),
                            .timesteps = b.input("timesteps", DType::kF32, timesteps.shape()),
                            .context = b.input("context", DType::kF32, context.shape())});
    graph.mark_output(prediction, "prediction");
    GraphRunner runner = make_runner(bench, std::move(graph));
    runner.set("latents", latents.view());
    runner.set("timesteps", timesteps.view());
    runner.set("context", context.view());
    runner.run();
    report.compare(golden, "prediction", runner.get("prediction"), report.bounds().values);
}

}  // namespace lora::parity
