// Cases of a LoRA file of any kind applied to the model: context and prediction.
#include <fmt/format.h>

#include "app/parity/parity.h"
#include "models/lora_file_weights.h"
#include "train/graph_runner.h"

namespace lora::parity {
namespace {

constexpr std::string_view kStored = "in.net.";

// The case's matrices under names of its own, since one store serves many cases.
train::TensorSource network_source(const CaseFile& golden, const std::string& prefix) {
    auto file =
        std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(golden.file.name()));
    return [file, prefix](const std::string& name) -> std::optional<train::SourceTensor> {
        if (!name.starts_with(prefix)) return std::nullopt;
        const auto view = file->find(std::string(kStored) + name.substr(prefix.size()));
        if (!view) return std::nullopt;
        return train::SourceTensor{*view, file};
    };
}

}  // namespace

void run_network(Bench& bench, const CaseFile& golden, Report& report) {
    const models::LoraFileContent content =
        models::read_lora_file(golden.file, bench.info(), std::string(kStored));
    if (!content.unknown.empty()) {
        report.fail(golden, "network", "unknown-module-" + content.unknown.front());
    }
    const std::string prefix = golden.name + "/";
    nn::LoraAttachments branches;
    models::attach_frozen(content, 1.0, prefix, branches);
    bench.weights().add_source(network_source(golden, prefix));

    const Tensor ids = golden.ids("input_ids");
    const Tensor latents = golden.floats("latents");
    const Tensor timesteps = golden.floats("timesteps");
    ir::Graph graph;
    ir::Builder b(graph);
    const nn::NetContext net{&b, bench.dtype(), &branches};
    const Shape& shape = ids.shape();  // [N, C, 77]
    const nn::ValueId states =
        models::build_clip_text(net,
                                bench.info().text,
                                b.input("ids", DType::kI32, Shape{shape[0] * shape[1], shape[2]}),
                                golden.integer("clip_skip", 1));
    const nn::ValueId context = b.cast(models::join_chunks(net, states, shape[1]), DType::kF32);
    graph.mark_output(context, "context");
    graph.mark_output(
        models::build_unet(net,
                           bench.info().unet,
                           {.latents = b.input("latents", DType::kF32, latents.shape()),
                            .timesteps = b.input("timesteps", DType::kF32, timesteps.shape()),
                            .context = context}),
        "prediction");
    train::GraphRunner runner(bench.device(), bench.weights(), std::move(graph), {});
    runner.set("ids", ids.view());
    runner.set("latents", latents.view());
    runner.set("timesteps", timesteps.view());
    runner.run();
    report.compare(golden, "context", runner.get("context"), report.bounds().values);
    report.compare(golden, "prediction", runner.get("prediction"), report.bounds().values);
    bench.weights().forget(prefix);
}

}  // namespace lora::parity
