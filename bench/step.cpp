// A training step of a whole model: forward, backward, clip and AdamW, with the time of the same
// products alone and the memory that was planned and that the system saw.
#include <chrono>

#include "bench.h"
#include "io/safetensors.h"
#include "models/family.h"
#include "profile.h"
#include "train/memory_usage.h"
#include "train/train_step.h"

namespace lora::bench {
namespace {

train::StepInputs make_inputs(const train::StepShape& shape) {
    const Shape latent{shape.batch, 4, shape.latent_height, shape.latent_width};
    train::StepInputs inputs;
    inputs.latents = Tensor(DType::kF32, latent);
    inputs.noise = Tensor(DType::kF32, latent);
    float next = 0.3F;
    for (Tensor* tensor : {&inputs.latents, &inputs.noise}) {
        for (float& x : tensor->data<float>()) {
            next = 3.7F * next * (1 - next);  // the logistic map: noise enough for timing
            x = 4 * (next - 0.5F);
        }
    }
    inputs.token_ids = Tensor(DType::kI32, Shape{shape.batch, shape.num_chunks, 77});
    int32_t id = 320;
    for (int32_t& x : inputs.token_ids.data<int32_t>()) x = id++ % 49000;
    for (int64_t i = 0; i < shape.batch; ++i) {
        inputs.timesteps.push_back(100 + 37 * i);
        inputs.loss_weights.push_back(1.0F);
    }
    return inputs;
}

struct Session {
    std::unique_ptr<backend::Backend> backend;
    DType dtype = DType::kF32;
    std::shared_ptr<const io::SafetensorsFile> file;
    models::ModelInfo info;
};

void run_batch(const Options& options, const Session& s, int64_t batch) {
    train::NetworkOptions network;
    network.network_dim = options.rank;
    network.network_alpha = static_cast<double>(options.rank) / 2;
    network.network_args = options.network_args;
    if (!options.network_args.empty()) network.network_module = "lycoris.kohya";
    train::TrainModel model =
        train::make_train_model(s.info,
                                train::choose_modules(s.info, network),
                                {.dtype = s.dtype, .quantize_base = options.quantize_base});
    const train::Network layout = model.network;
    train::TrainStep step(*s.backend, std::move(model), {});
    const train::StepShape shape{.batch = batch,
                                 .latent_height = options.resolution_px / 8,
                                 .latent_width = options.resolution_px / 8,
                                 .num_chunks = options.num_chunks};
    step.add_shape(shape);
    const train::ParameterBuffers buffers = train::make_parameter_buffers(*s.backend, layout);
    train::write_floats(*buffers.values, train::initial_values(layout, 1));
    train::WeightStore weights(*s.backend);
    weights.add_source(train::file_source(s.file));
    const auto start = std::chrono::steady_clock::now();
    step.compile(weights, buffers);
    const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
    train::Optimizer optimizer(*s.backend, buffers, layout, step.trained());
    const size_t resident = train::resident_bytes();
    const bool fresh_peak = train::reset_peak_resident();

    const train::StepInputs inputs = make_inputs(shape);
    int64_t count = 0;
    Profile p = profile(options, step.executable(shape), [&] {
        static_cast<void>(step.run(inputs));
        optimizer.update(++count, {.text_encoder = 1e-6, .unet = 1e-6});
    });
    const size_t peak = train::peak_resident_bytes();
    const size_t device_bytes = s.backend->device_bytes_in_use();
    if (options.floor && s.backend->name() == "cpu")
        p = with_floor(std::move(p), step.executable(shape));

    OrderedJson line = line_start(*s.backend, s.dtype);
    for (const auto& [key, value] : options.network_args) line["network_args"][key] = value;
    if (options.quantize_base) line["base_quant"] = "int8";
    line["batch"] = batch;
    line["width"] = options.resolution_px;
    line["height"] = options.resolution_px;
    line["step_ms"] = p.ms;
    line["images_per_s"] = static_cast<double>(batch) * 1000.0 / p.ms;
    line["floor_ms"] = p.floor_ms;
    if (p.floor_ms > 0) line["ratio"] = p.ms / p.floor_ms;
    if (device_bytes > 0) {  // all that the card holds, weights included
        line["planned_peak_bytes"] = step.arena_bytes() + s.backend->persistent_bytes();
        line["measured_peak_bytes"] = device_bytes;
    } else {
        line["planned_peak_bytes"] = step.arena_bytes() + step.input_bytes();
        line["measured_peak_bytes"] = fresh_peak && peak > resident ? peak - resident : 0;
    }
    line["weight_bytes"] = s.backend->persistent_bytes();
    line["load_s"] = load.count();
    line["kernels"] = step.executable(shape).plan().graph.nodes().size();
    line["families"] = p.families;
    line["floor_families"] = p.floors;
    line["floor_gflops"] = p.rates;
    print_line(line);
    if (options.nodes) print_nodes(step.executable(shape), p);
}

}  // namespace

void run_step(const Options& options) {
    Session s;
    s.backend = open_backend(options);
    s.dtype = dtype_of(options, *s.backend);
    s.file = std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(options.model));
    s.info = models::detect_model(*s.file, {.needs_vae = false});
    for (const int64_t batch : options.batches) run_batch(options, s, batch);
}

}  // namespace lora::bench
