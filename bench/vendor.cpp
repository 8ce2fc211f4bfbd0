// The UNet's products by our kernels and by NVIDIA's libraries, shape by shape: forward, and the
// gradient of the input.
#include <map>

#include <fmt/format.h>

#include "backend/cuda/vendor_products.h"
#include "base/error.h"
#include "base/file.h"
#include "bench.h"
#include "models/family.h"

namespace lora::bench {
namespace {

using ir::OpKind;

struct Layer {
    ir::Node node;
    Shape x;
    Shape w;
    Shape y;
    int count = 0;
};

// Linear layers and convolutions of SD 1.5's UNet, equal ones together, in order.
std::vector<Layer> layers_of(const Options& options, int64_t batch) {
    ir::Graph graph;
    ir::Builder b(graph);
    const models::ModelInfo info = models::sd15_info();
    const int64_t side = options.resolution_px / 8;
    const int64_t tokens = 75 * options.num_chunks + 2;
    static_cast<void>(models::build_unet(
        {&b, DType::kBF16},
        info.unet,
        {.latents = b.input("latents", DType::kF32, Shape{batch, 4, side, side}),
         .timesteps = b.input("timesteps", DType::kF32, Shape{batch}),
         .context =
             b.input("context", DType::kF32, Shape{batch, tokens, info.unet.context_size})}));
    std::vector<Layer> layers;
    std::map<std::string, size_t> known;
    for (const ir::Node& node : graph.nodes()) {
        if (node.op != OpKind::kLinear && node.op != OpKind::kConv2d) continue;
        Layer layer{node,
                    graph.value(node.inputs[0]).shape,
                    graph.value(node.inputs[1]).shape,
                    graph.value(node.outputs[0]).shape};
        const std::string key =
            fmt::format("{} {} {}", layer.x.to_string(), layer.w.to_string(), node.attrs.stride);
        const auto [at, is_new] = known.emplace(key, layers.size());
        if (is_new) layers.push_back(std::move(layer));
        ++layers[at->second].count;
    }
    return layers;
}

// The layer's product alone, or that of its input's gradient.
ir::Graph product_graph(const Layer& layer, bool forward) {
    ir::Graph graph;
    ir::Builder b(graph);
    const bool is_conv = layer.node.op == OpKind::kConv2d;
    const auto layout = is_conv ? ir::Layout::kChannelsLast : ir::Layout::kRowMajor;
    const ir::ValueId src = graph.add_external(
        ir::ValueKind::kInput, "src", DType::kBF16, forward ? layer.x : layer.y, layout);
    const ir::ValueId w = b.weight("w", DType::kBF16, layer.w);
    ir::Attributes attrs = layer.node.attrs;
    if (!is_conv) {
        attrs.transpose_weight = !forward;
        static_cast<void>(b.node(OpKind::kLinear,
                                 {src, w, ir::kNoValue, ir::kNoValue, ir::kNoValue, ir::kNoValue},
                                 attrs));
    } else if (forward) {
        static_cast<void>(b.node(OpKind::kConv2d, {src, w, ir::kNoValue, ir::kNoValue}, attrs));
    } else {
        attrs.height = layer.x[2];
        attrs.width = layer.x[3];
        static_cast<void>(b.node(OpKind::kConv2dBackwardInput, {src, w, ir::kNoValue}, attrs));
    }
    return graph;
}

void run_batch(const Options& options, cuda::ProductRace& race, int64_t batch) {
    double own_ms = 0;
    double vendor_ms = 0;
    for (const Layer& layer : layers_of(options, batch)) {
        for (const bool forward : {true, false}) {
            // The latents need no gradient.
            if (!forward && layer.node.op == OpKind::kConv2d && layer.x[1] == 4) continue;
            const ir::Graph graph = product_graph(layer, forward);
            const auto times = race.race(graph, graph.nodes().back());
            OrderedJson line = {{"op", ir::op_info(layer.node.op).name},
                                {"pass", forward ? "forward" : "gradient"},
                                {"batch", batch},
                                {"x", layer.x.sizes()},
                                {"w", layer.w.sizes()},
                                {"stride", layer.node.attrs.stride},
                                {"count", layer.count},
                                {"own_us", times->own_us},
                                {"vendor_us", times->vendor_us},
                                {"kernel", times->own}};
            print_line(line);
            own_ms += layer.count * times->own_us / 1000;
            vendor_ms += layer.count * times->vendor_us / 1000;
        }
    }
    print_line({{"batch", batch},
                {"own_ms", own_ms},
                {"vendor_ms", vendor_ms},
                {"ratio", own_ms / vendor_ms}});
}

}  // namespace

void run_vendor(const Options& options) {
    backend::BackendOptions backend_options;
    backend_options.tuning_file =
        join_path(join_path(program_folder(), "cache"), "cuda_kernels.json");
    cuda::ProductRace race(backend_options);
    OrderedJson line;
    for (const cuda::VendorLibrary& library : cuda::find_vendor_libraries()) {
        line[library.name] = library.version;
    }
    print_line(line);
    for (const int64_t batch : options.batches) run_batch(options, race, batch);
}

}  // namespace lora::bench
