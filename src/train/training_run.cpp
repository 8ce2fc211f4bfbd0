#include "train/training_run.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "train/internal/training_run_impl.h"
#include "train/run_settings.h"
#include "train/state_folders.h"
#include "train/step_cost.h"

namespace lora::train {
namespace {

void throw_if_wrong(const TrainOptions& options) {
    std::string text;
    std::string hint;
    for (const Diagnostic& item : check_options(options)) {
        if (item.severity != Severity::kError) continue;
        if (!text.empty()) text += "; ";
        text += item.text;
        if (hint.empty()) hint = item.hint;
    }
    if (!text.empty()) throw Error(ErrorCode::kConfig, text).with_hint(hint);
}

// Set aside for a batch's inputs when max_memory limits the arena.
constexpr size_t kInputReserveBytes = size_t{4} << 20U;

std::shared_ptr<const io::SafetensorsFile> open_file(const std::string& path) {
    return std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
}

// Frozen weights that a graph names, by name and type.
void add_weights(const ir::Graph& graph, std::map<std::string, size_t>& bytes) {
    for (const ir::Value& value : graph.values()) {
        if (value.kind == ir::ValueKind::kWeight) bytes[value.name] = value.num_bytes();
    }
}

}  // namespace

void log_diagnostics(const Diagnostics& list) {
    for (const Diagnostic& item : list) {
        if (item.severity == Severity::kNote) {
            log::info("{}: {}", item.place, item.text);
        } else {
            log::warning(
                "{}: {}{}{}", item.place, item.text, item.hint.empty() ? "" : "; ", item.hint);
        }
    }
}

void TrainingRun::Impl::find_resume() {
    identity = new_identity(options.seed);
    const std::string& wanted = options.save.resume;
    if (wanted.empty()) return;
    resume = wanted == "auto" ? find_newest_state(options.save).value_or("") : wanted;
    if (resume.empty()) {
        log::info("no train state of {} in {}: starting from the beginning",
                  options.save.output_name,
                  options.save.output_dir);
        return;
    }
    const StateSummary saved = read_state_summary(resume);
    if (options.seed && *options.seed != saved.identity.seed) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("the train state has seed {}, the options say {}",
                                saved.identity.seed,
                                *options.seed))
            .with_hint("resume with the same --seed");
    }
    identity = saved.identity;
}

void TrainingRun::Impl::open_model() {
    const ModelOptions& model = options.model;
    model_file = open_file(model.pretrained_model_name_or_path);
    with_context(
        fmt::format("while reading model file {}", model.pretrained_model_name_or_path),
        [&] { info = models::detect_model(*model_file, {.needs_vae = model.vae.empty()}); });
    vae_file = model_file;
    vae = info.vae;
    if (!model.vae.empty()) {
        vae_file = open_file(model.vae);
        with_context(fmt::format("while reading VAE {}", model.vae),
                     [&] { vae = models::detect_vae(*vae_file); });
    }
    dtype = compute_dtype(options.device, *backend, plan.warnings);
}

void TrainingRun::Impl::scan() {
    data::ScanResult found = data::scan_dataset(options.dataset);
    plan.warnings.insert(plan.warnings.end(), found.diagnostics.begin(), found.diagnostics.end());
    data = data::assign_buckets(std::move(found.dataset), data::BucketChooser(options.bucket));
}

void TrainingRun::Impl::plan_steps() {
    steps =
        data::plan_steps(data.num_batches(options.latents.train_batch_size),
                         {.gradient_accumulation_steps = options.length.gradient_accumulation_steps,
                          .max_train_steps = options.length.max_train_steps,
                          .max_train_epochs = options.length.max_train_epochs});
    check_lr_schedule(lr_schedule_options(options.optimizer, steps.max_train_steps));
}

bool TrainingRun::Impl::captions_are_fixed() const {
    const data::CaptionOptions& c = options.caption;
    return !c.shuffle_caption && c.caption_dropout_rate == 0 &&
           c.caption_dropout_every_n_epochs == 0 && c.caption_tag_dropout_rate == 0 &&
           c.token_warmup_step == 0 && !c.enable_wildcard;
}

// Graphs of every bucket and batch size that the run will see, the short last batches too.
void TrainingRun::Impl::make_step() {
    const Optimizer::Rates rates = base_rates(options.optimizer, options.network);
    TrainModel model = make_train_model(
        info,
        choose_modules(info, options.network),
        {.dtype = dtype,
         .prediction = options.model.v_parameterization ? diffusion::PredictionType::kVPrediction
                                                        : diffusion::PredictionType::kEpsilon,
         .clip_skip = options.model.clip_skip,
         .train_text_encoder = rates.text_encoder > 0,
         .train_unet = rates.unet > 0,
         .attach_untrained = !options.network.network_weights.empty()});
    if (!model.train_text_encoder && !model.train_unet) {
        throw Error(ErrorCode::kConfig, "every learning rate is 0, nothing would be trained")
            .with_hint("set --learning_rate, --unet_lr or --text_encoder_lr above 0");
    }
    TrainStepOptions step_options{
        .loss_weight = options.loss.weight,
        .zero_terminal_snr = options.loss.zero_terminal_snr,
        .perturbs_noise = options.loss.noise.ip_noise_gamma != 0,
        .gradient_accumulation_steps = options.length.gradient_accumulation_steps,
        .cache_contexts = captions_are_fixed(),
        .plan = {.max_arena_bytes = 0, .recompute_all = options.device.gradient_checkpointing}};
    if (options.device.max_memory_bytes > 0) {
        const size_t other = other_bytes(model.network, kInputReserveBytes);
        const uint64_t limit = options.device.max_memory_bytes;
        step_options.plan.max_arena_bytes = limit > other ? limit - other : 1;
    }
    step = std::make_unique<TrainStep>(*backend, std::move(model), step_options);
    const int64_t batch = options.latents.train_batch_size;
    const int64_t chunks = options.model.max_token_length / text::kWindowText;
    for (const data::BucketUse& use : data.buckets) {
        StepShape shape{.batch = batch,
                        .latent_height = use.size.height_px / vae.px_per_latent(),
                        .latent_width = use.size.width_px / vae.px_per_latent(),
                        .num_chunks = chunks};
        if (use.count >= batch) step->add_shape(shape);
        shape.batch = use.count % batch;
        if (shape.batch > 0) step->add_shape(shape);
    }
}

EncodeRequest TrainingRun::Impl::encode_request() const {
    EncodeRequest request;
    request.backend = backend;
    request.vae_file = vae_file;
    request.vae = vae;
    request.dtype = dtype;
    request.data = &data;
    request.options = &options.latents;
    request.cache_dir = options.latents.cache_dir.empty()
                            ? join_path(options.save.output_dir, "cache")
                            : options.latents.cache_dir;
    return request;
}

// Memory beside the arena and the frozen weights: parameters, gradients, moments, inputs, latents,
// and the copies that saving makes.
size_t TrainingRun::Impl::other_bytes(const Network& network, size_t input_bytes) const {
    const auto flat = static_cast<size_t>(network.num_elements()) * sizeof(float);
    const SaveOptions& s = options.save;
    const bool has_states =
        s.save_state || s.save_state_on_train_end || s.save_state_every_n_steps > 0;
    const size_t copies = has_states ? 3 * flat : flat + flat / 2;
    size_t latents = 0;
    for (size_t i = 0; i < data.choices.size(); ++i) {
        const data::ImageSize size = data.choices[i].bucket;
        const int64_t unit = vae.px_per_latent();
        latents += static_cast<size_t>(vae.latent_channels * (size.width_px / unit) *
                                       (size.height_px / unit)) *
                   sizeof(float);
    }
    if (options.latents.flip_aug) latents *= 2;
    if (!options.latents.cache_latents) latents *= 3;
    return 4 * flat + copies + input_bytes + latents;
}

void TrainingRun::Impl::fill_plan() {
    plan.num_images = static_cast<int64_t>(data.dataset.images.size());
    plan.buckets = data.buckets;
    plan.steps = steps.max_train_steps;
    plan.epochs = steps.num_epochs;
    plan.steps_per_epoch = steps.steps_per_epoch;
    plan.num_parameters = step->model().network.num_parameters();
    std::map<std::string, size_t> weights;
    for (const data::BucketUse& use : data.buckets) {
        const StepShape shape{.batch = std::min(options.latents.train_batch_size, use.count),
                              .latent_height = use.size.height_px / vae.px_per_latent(),
                              .latent_width = use.size.width_px / vae.px_per_latent(),
                              .num_chunks = options.model.max_token_length / text::kWindowText};
        add_weights(step->plan(shape).graph, weights);
    }
    if (!step->model().train_text_encoder) {
        add_weights(build_context_graph(step->model(), 1), weights);
    }
    plan.weight_bytes = 0;
    for (const auto& [name, bytes] : weights) plan.weight_bytes += bytes;
    const size_t arena = std::max(step->arena_bytes(), vae_arena_bytes(encode_request()));
    plan.planned_peak_bytes = arena + other_bytes(step->model().network, step->input_bytes());
}

TrainingRun::TrainingRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TrainingRun::~TrainingRun() = default;

std::unique_ptr<TrainingRun> TrainingRun::open(TrainOptions options, backend::Backend& backend) {
    throw_if_wrong(options);
    auto impl = std::make_unique<Impl>();
    impl->options = std::move(options);
    impl->backend = &backend;
    impl->find_resume();
    impl->open_model();
    impl->scan();
    impl->plan_steps();
    impl->make_step();
    impl->fill_plan();
    impl->check_state(false);
    return std::unique_ptr<TrainingRun>(new TrainingRun(std::move(impl)));
}

const RunPlan& TrainingRun::plan() const { return impl_->plan; }

void TrainingRun::estimate_time() {
    const double rate = measure_flops_per_s(*impl_->backend, impl_->dtype);
    double seconds = 0;
    double slots = 0;
    for (const data::BucketUse& use : impl_->data.buckets) {
        const int64_t batch = std::min(impl_->options.latents.train_batch_size, use.count);
        const StepShape shape{
            .batch = batch,
            .latent_height = use.size.height_px / impl_->vae.px_per_latent(),
            .latent_width = use.size.width_px / impl_->vae.px_per_latent(),
            .num_chunks = impl_->options.model.max_token_length / text::kWindowText};
        const double batches = static_cast<double>(use.count) / static_cast<double>(batch);
        seconds += batches * estimate_s(impl_->step->plan(shape).graph, rate);
        slots += batches;
    }
    const auto micro_steps = static_cast<double>(impl_->steps.max_train_steps *
                                                 impl_->options.length.gradient_accumulation_steps);
    impl_->plan.estimated_s = seconds / slots * micro_steps;
}

}  // namespace lora::train
