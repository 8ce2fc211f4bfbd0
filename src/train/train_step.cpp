#include "train/train_step.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <fmt/format.h>

#include "autodiff/differentiate.h"
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "diffusion/loss_weight.h"
#include "ir/print.h"
#include "models/clip_text.h"
#include "models/unet.h"
#include "text/token_chunks.h"

namespace lora::train {
namespace {

using ir::ValueId;
using ir::ValueKind;

constexpr size_t kInputAlignment = 64;

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
}

int64_t context_tokens(int64_t num_chunks) { return text::kWindowText * num_chunks + 2; }

nn::NetContext net_context(ir::Builder& builder, const TrainModel& model) {
    return {&builder, model.dtype, &model.attachments, model.quantize_base};
}

bool has_threshold(ir::LossKind loss) {
    return loss == ir::LossKind::kHuber || loss == ir::LossKind::kSmoothL1;
}

ValueId build_context(const nn::NetContext& net,
                      const TrainModel& model,
                      ValueId ids,
                      int64_t num_chunks) {
    const ir::Builder::Scope scope(*net.builder, "text_encoder");
    const ValueId states =
        models::build_clip_text(net, model.info.text, ids, std::max<int64_t>(model.clip_skip, 1));
    return models::join_chunks(net, states, num_chunks);
}

// `count` rows of the first axis.
Tensor rows_of(const Tensor& all, int64_t first, int64_t count) {
    if (all.shape().num_axes() == 0) return {};
    std::vector<int64_t> sizes = all.shape().sizes();
    const size_t row = all.bytes().size() / static_cast<size_t>(sizes[0]);
    sizes[0] = count;
    Tensor part(all.dtype(), Shape(sizes));
    const auto bytes =
        all.bytes().subspan(static_cast<size_t>(first) * row, static_cast<size_t>(count) * row);
    std::copy(bytes.begin(), bytes.end(), part.bytes().begin());
    return part;
}

// Samples first..first + count of a batch, weighted by their share of it.
StepInputs piece_of(const StepInputs& all, int64_t first, int64_t count) {
    const auto begin = static_cast<std::ptrdiff_t>(first);
    const auto end = static_cast<std::ptrdiff_t>(first + count);
    const float share = static_cast<float>(count) / static_cast<float>(all.timesteps.size());
    StepInputs part;
    part.latents = rows_of(all.latents, first, count);
    part.noise = rows_of(all.noise, first, count);
    part.perturbed_noise = rows_of(all.perturbed_noise, first, count);
    part.token_ids = rows_of(all.token_ids, first, count);
    part.mask = rows_of(all.mask, first, count);
    part.token_weights = rows_of(all.token_weights, first, count);
    // Samples count from 0 in every piece: other random numbers for each.
    part.dropout_key = all.dropout_key;
    part.dropout_key[3] ^= narrow<int32_t>(first);
    part.timesteps.assign(all.timesteps.begin() + begin, all.timesteps.begin() + end);
    part.loss_weights.assign(all.loss_weights.begin() + begin, all.loss_weights.begin() + end);
    for (float& weight : part.loss_weights) weight *= share;
    return part;
}

}  // namespace

bool StepShape::operator<(const StepShape& other) const {
    return std::tie(batch, latent_height, latent_width, num_chunks) <
           std::tie(other.batch, other.latent_height, other.latent_width, other.num_chunks);
}

ir::Graph build_context_graph(const TrainModel& model, int64_t num_chunks) {
    ir::Graph graph;
    ir::Builder builder(graph);
    const nn::NetContext net = net_context(builder, model);
    const ValueId ids =
        builder.input("token_ids", DType::kI32, Shape{num_chunks, text::kWindowTokens});
    const ValueId context = build_context(net, model, ids, num_chunks);
    graph.mark_output(builder.cast(context, DType::kF32), "context");
    return graph;
}

ir::Graph build_step_graph(const TrainModel& model,
                           const StepShape& shape,
                           const TrainStepOptions& options,
                           std::set<std::string>& trained) {
    ir::Graph graph;
    ir::Builder builder(graph);
    nn::NetContext net = net_context(builder, model);
    if (!options.forward_only && model.attachments.drops()) {
        net.dropout_key = builder.input("dropout_key", DType::kI32, Shape{4});
    }
    const int64_t n = shape.batch;
    const Shape image{n, model.info.unet.in_channels, shape.latent_height, shape.latent_width};
    const ValueId latents = builder.input("latents", DType::kF32, image);
    const ValueId noise = builder.input("noise", DType::kF32, image);
    const auto row = [&](const char* name) { return builder.input(name, DType::kF32, Shape{n}); };

    ValueId context;
    if (model.train_text_encoder) {
        const ValueId ids = builder.input(
            "token_ids", DType::kI32, Shape{n * shape.num_chunks, text::kWindowTokens});
        context = build_context(net, model, ids, shape.num_chunks);
        if (options.weighs_tokens) {
            const ValueId weights =
                builder.input("token_weights", DType::kF32, builder.shape(context));
            context = builder.multiply(context, builder.cast(weights, model.dtype));
        }
    } else {
        context =
            builder.input("context",
                          DType::kF32,
                          Shape{n, context_tokens(shape.num_chunks), model.info.unet.context_size});
    }
    const ValueId mixed_in =
        options.perturbs_noise ? builder.input("perturbed_noise", DType::kF32, image) : noise;
    const ValueId noisy =
        builder.mix_rows(latents, mixed_in, row("noisy.of_latent"), row("noisy.of_noise"));
    ValueId prediction;
    {
        const ir::Builder::Scope scope(builder, "unet");
        prediction = models::build_unet(
            net,
            model.info.unet,
            {.latents = noisy, .timesteps = row("timesteps"), .context = context});
    }
    ValueId target = noise;
    if (model.prediction == diffusion::PredictionType::kVPrediction) {
        target = builder.mix_rows(latents, noise, row("target.of_latent"), row("target.of_noise"));
    }
    ir::Builder::LossArgs loss_args{.kind = options.loss};
    if (options.masks_loss) {
        loss_args.mask = builder.input(
            "mask", DType::kF32, Shape{n, 1, shape.latent_height, shape.latent_width});
    }
    if (has_threshold(options.loss)) loss_args.c = row("huber_c");
    const ir::Builder::Loss loss =
        builder.weighted_loss(prediction, target, row("loss_weights"), loss_args);
    graph.mark_output(loss.loss, "loss");
    graph.mark_output(loss.losses, "losses");
    if (options.keep_prediction) graph.mark_output(prediction, "prediction");
    trained.clear();
    if (options.forward_only) return graph;

    const auto accumulation = static_cast<double>(options.gradient_accumulation_steps);
    const auto gradients =
        autodiff::differentiate(builder,
                                loss.loss,
                                {.loss_scale = 1.0 / accumulation,
                                 .destinations = {},
                                 .accumulate = options.accumulates(),
                                 .is_frozen = [&](const std::string& name) {
                                     const ParameterEntry* entry = model.network.find(name);
                                     return entry != nullptr && options.frozen.has(entry->part);
                                 }});
    if (options.scale_loss) {
        const ValueId scaled = row("gradient_weights");
        for (ir::Node& node : graph.nodes()) {
            if (node.op == ir::OpKind::kWeightedLossBackward) node.inputs[2] = scaled;
        }
    }
    for (const autodiff::Gradient& gradient : gradients) {
        trained.insert(graph.value(gradient.param).name);
    }
    return graph;
}

TrainStep::TrainStep(backend::Backend& backend, TrainModel model, const TrainStepOptions& options)
    : backend_(&backend),
      model_(std::move(model)),
      options_(options),
      schedule_(options.zero_terminal_snr) {
    LORA_CHECK(model_.train_text_encoder || model_.train_unet, "nothing to train");
}

void TrainStep::add_shape(const StepShape& shape) {
    if (!wanted_.insert(shape).second) return;
    for (const int64_t piece : pieces_of(shape.batch)) {
        StepShape part = shape;
        part.batch = piece;
        if (shapes_.contains(part)) continue;
        shapes_[part] = make_planned(build_step_graph(model_, part, options_, trained_));
    }
    if (!model_.train_text_encoder && !context_) {
        context_ =
            std::make_unique<Planned>(make_planned(build_context_graph(model_, shape.num_chunks)));
    }
}

void TrainStep::replan(size_t max_arena_bytes, int64_t max_piece) {
    TrainStepOptions options = options_;
    options.plan.max_arena_bytes = max_arena_bytes;
    options.max_piece = max_piece;
    plan_anew(options);
}

void TrainStep::freeze(const FrozenParts& parts) {
    TrainStepOptions options = options_;
    options.frozen = parts;
    plan_anew(options);
}

void TrainStep::plan_anew(const TrainStepOptions& options) {
    TrainStep smaller(*backend_, model_, options);
    for (const StepShape& shape : wanted_) smaller.add_shape(shape);
    options_ = options;
    shapes_ = std::move(smaller.shapes_);
    context_ = std::move(smaller.context_);
    trained_ = std::move(smaller.trained_);
}

TrainStep::Planned TrainStep::make_planned(ir::Graph graph) const {
    Planned planned;
    planned.plan = plan::make_plan(std::move(graph), backend_->capabilities(), options_.plan);
    for (const ir::Value& value : planned.plan.graph.values()) {
        if (value.kind != ValueKind::kInput) continue;
        planned.input_offsets[value.name] = planned.input_bytes;
        const size_t bytes = value.num_bytes();
        planned.input_bytes += (bytes + kInputAlignment - 1) / kInputAlignment * kInputAlignment;
    }
    return planned;
}

const plan::MemoryPlan& TrainStep::plan_of(const Planned& planned) const {
    return planned.executable ? planned.executable->plan() : planned.plan;
}

void TrainStep::compile(WeightStore& weights, const ParameterBuffers& parameters) {
    inputs_ = backend_->make_buffer(input_bytes());
    for (auto& [shape, planned] : shapes_) compile_one(planned, weights, parameters);
    if (context_) compile_one(*context_, weights, parameters);
    // After all of them, as the largest decides where everything lies.
    for (auto& [shape, planned] : shapes_) planned.executable->prepare();
    if (context_) context_->executable->prepare();
}

void TrainStep::compile_one(Planned& planned,
                            WeightStore& weights,
                            const ParameterBuffers& parameters) {
    backend::Bindings bindings;
    for (const auto& [name, offset] : planned.input_offsets) {
        bindings[name] = {nullptr, inputs_, offset};
    }
    for (const ParameterEntry& entry : model_.network.entries()) {
        const size_t offset = static_cast<size_t>(entry.offset) * sizeof(float);
        if (!trained_.contains(entry.key)) {
            const auto value = planned.plan.graph.find(entry.key);
            const bool is_param =
                value && planned.plan.graph.value(*value).kind == ValueKind::kParam;
            if (!is_param) continue;
        }
        bindings[entry.key] = {nullptr, parameters.values, offset};
        bindings["grad." + entry.key] = {nullptr, parameters.gradients, offset};
    }
    weights.bind(planned.plan.graph, bindings);
    planned.executable = backend_->compile(std::move(planned.plan), bindings);
    planned.plan = {};
}

void TrainStep::write(const Planned& planned,
                      const std::string& name,
                      std::span<const std::byte> bytes) {
    const auto offset = planned.input_offsets.find(name);
    if (offset == planned.input_offsets.end()) return;  // the planner found it unused
    inputs_->write(offset->second, bytes);
}

void TrainStep::write_factors(const Planned& planned, const StepInputs& inputs) {
    std::vector<float> timesteps, noisy_latent, noisy_noise, target_latent, target_noise, weights;
    std::vector<float> thresholds;
    for (size_t i = 0; i < inputs.timesteps.size(); ++i) {
        const double ac = schedule_.alphas_cumprod(inputs.timesteps[i]);
        const diffusion::MixFactors noisy = diffusion::noisy_factors(ac);
        const diffusion::MixFactors target = diffusion::target_factors(model_.prediction, ac);
        // sd-scripts takes the weights' table before it changes the schedule; a last SNR of zero
        // would make some of them infinite.
        const double weight =
            diffusion::loss_weight(model_.prediction,
                                   plain_schedule_.alphas_cumprod(inputs.timesteps[i]),
                                   options_.loss_weight);
        timesteps.push_back(static_cast<float>(inputs.timesteps[i]));
        noisy_latent.push_back(noisy.of_latent);
        noisy_noise.push_back(noisy.of_noise);
        target_latent.push_back(target.of_latent);
        target_noise.push_back(target.of_noise);
        weights.push_back(static_cast<float>(inputs.loss_weights[i] * weight));
        if (!has_threshold(options_.loss)) continue;
        thresholds.push_back(static_cast<float>(
            diffusion::huber_threshold(options_.huber, inputs.timesteps[i], ac)));
    }
    write(planned, "timesteps", bytes_of(timesteps));
    write(planned, "noisy.of_latent", bytes_of(noisy_latent));
    write(planned, "noisy.of_noise", bytes_of(noisy_noise));
    write(planned, "target.of_latent", bytes_of(target_latent));
    write(planned, "target.of_noise", bytes_of(target_noise));
    write(planned, "loss_weights", bytes_of(weights));
    if (has_threshold(options_.loss)) write(planned, "huber_c", bytes_of(thresholds));
    for (float& weight : weights) weight *= static_cast<float>(loss_scale_);
    write(planned, "gradient_weights", bytes_of(weights));
}

const std::vector<float>& TrainStep::context_of(std::span<const int32_t> ids) {
    std::vector<int32_t> key(ids.begin(), ids.end());
    if (!options_.cache_contexts) contexts_.clear();
    std::vector<float>& context = contexts_[key];
    if (!context.empty()) return context;
    write(*context_, "token_ids", std::as_bytes(ids));
    context_->executable->run();
    const ir::Graph& graph = context_->executable->plan().graph;
    const int64_t count = graph.value(graph.at("context")).shape.num_elements();
    context.resize(static_cast<size_t>(count));
    context_->executable->read_output("context", std::as_writable_bytes(std::span(context)));
    return context;
}

void TrainStep::write_context(const Planned& planned, const StepInputs& inputs) {
    const std::span<const int32_t> ids = inputs.token_ids.data<int32_t>();
    const size_t samples = inputs.timesteps.size();
    const size_t ids_each = ids.size() / samples;
    std::vector<float> all;
    for (size_t i = 0; i < samples; ++i) {
        const std::vector<float>& context = context_of(ids.subspan(i * ids_each, ids_each));
        all.insert(all.end(), context.begin(), context.end());
    }
    if (inputs.token_weights.shape().num_axes() == 2) {
        const std::span<const float> weights = inputs.token_weights.data<float>();
        const size_t width = all.size() / weights.size();
        for (size_t i = 0; i < all.size(); ++i) all[i] *= weights[i / width];
    }
    write(planned, "context", bytes_of(all));
}

void TrainStep::write_token_weights(const Planned& planned, const StepInputs& inputs) {
    const auto width = static_cast<size_t>(model_.info.text.width);
    const auto positions = static_cast<size_t>(context_tokens(inputs.token_ids.shape()[1]));
    std::vector<float> all(inputs.timesteps.size() * positions * width, 1.0F);
    if (inputs.token_weights.shape().num_axes() == 2) {
        const std::span<const float> weights = inputs.token_weights.data<float>();
        for (size_t i = 0; i < all.size(); ++i) all[i] = weights[i / width];
    }
    write(planned, "token_weights", bytes_of(all));
}

void TrainStep::write_mask(const Planned& planned, const StepInputs& inputs) {
    if (inputs.mask.shape().num_axes() == 4) {
        return write(planned, "mask", inputs.mask.bytes());
    }
    const Shape& s = inputs.latents.shape();
    write(planned,
          "mask",
          bytes_of(std::vector<float>(static_cast<size_t>(s[0] * s[2] * s[3]), 1.0F)));
}

// Whole pieces, then what is left.
std::vector<int64_t> TrainStep::pieces_of(int64_t batch) const {
    std::vector<int64_t> pieces;
    const int64_t most = options_.max_piece > 0 ? options_.max_piece : batch;
    for (int64_t left = batch; left > 0; left -= most) pieces.push_back(std::min(left, most));
    return pieces;
}

int64_t TrainStep::largest_piece() const {
    int64_t most = 0;
    for (const auto& [shape, planned] : shapes_) most = std::max(most, shape.batch);
    return most;
}

// A piece's loss is the mean over its own samples; weights by its share make it a part of the
// batch's mean.
StepResult TrainStep::run(const StepInputs& inputs) {
    const auto batch = static_cast<int64_t>(inputs.timesteps.size());
    const std::vector<int64_t> pieces = pieces_of(batch);
    if (pieces.size() == 1) return run_piece(inputs);
    StepResult all;
    int64_t first = 0;
    for (const int64_t count : pieces) {
        const StepResult part = run_piece(piece_of(inputs, first, count));
        all.loss += part.loss;
        all.losses.insert(all.losses.end(), part.losses.begin(), part.losses.end());
        first += count;
    }
    return all;
}

StepResult TrainStep::run_piece(const StepInputs& inputs) {
    const Shape& latents = inputs.latents.shape();
    last_ = {latents[0], latents[2], latents[3], inputs.token_ids.shape()[1]};
    const auto found = shapes_.find(last_);
    LORA_CHECK(found != shapes_.end() && found->second.executable,
               "no step for latents " + latents.to_string());
    const Planned& planned = found->second;
    // The context runs first: it shares the input buffer and the arena.
    if (context_) write_context(planned, inputs);
    write(planned, "token_ids", inputs.token_ids.bytes());
    write(planned, "latents", inputs.latents.bytes());
    write(planned, "noise", inputs.noise.bytes());
    if (options_.perturbs_noise) {
        write(planned, "perturbed_noise", inputs.perturbed_noise.bytes());
    }
    if (options_.masks_loss) write_mask(planned, inputs);
    if (options_.weighs_tokens && !context_) write_token_weights(planned, inputs);
    write(planned, "dropout_key", std::as_bytes(std::span(inputs.dropout_key)));
    write_factors(planned, inputs);
    planned.executable->run();

    StepResult result;
    float loss = 0;
    planned.executable->read_output("loss", std::as_writable_bytes(std::span(&loss, 1)));
    result.loss = loss;
    result.losses.resize(inputs.timesteps.size());
    planned.executable->read_output("losses", std::as_writable_bytes(std::span(result.losses)));
    return result;
}

Tensor TrainStep::prediction() const {
    const backend::Executable& executable = *shapes_.at(last_).executable;
    const ir::Graph& graph = executable.plan().graph;
    Tensor result(DType::kF32, graph.value(graph.at("prediction")).shape);
    executable.read_output("prediction", result.bytes());
    return result;
}

size_t TrainStep::arena_bytes() const {
    size_t most = context_ ? plan_of(*context_).arena_bytes : 0;
    for (const auto& [shape, planned] : shapes_) {
        most = std::max(most, plan_of(planned).arena_bytes);
    }
    return most;
}

double TrainStep::slowdown() const {
    double most = 1;
    for (const auto& [shape, planned] : shapes_) most = std::max(most, plan_of(planned).slowdown);
    return most;
}

size_t TrainStep::input_bytes() const {
    size_t most = context_ ? context_->input_bytes : 0;
    for (const auto& [shape, planned] : shapes_) most = std::max(most, planned.input_bytes);
    return most;
}

uint64_t TrainStep::plan_identity() const {
    std::string text;
    for (const auto& [shape, planned] : shapes_) text += ir::print(plan_of(planned).graph);
    if (context_) text += ir::print(plan_of(*context_).graph);
    return fnv1a64(text);
}

const plan::MemoryPlan& TrainStep::plan(const StepShape& shape) const {
    return plan_of(shapes_.at(shape));
}

backend::Executable& TrainStep::executable(const StepShape& shape) {
    return *shapes_.at(shape).executable;
}

}  // namespace lora::train
