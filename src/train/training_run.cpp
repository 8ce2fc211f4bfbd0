#include "train/training_run.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/words.h"
#include "train/advice.h"
#include "train/internal/training_run_impl.h"
#include "train/lora_file.h"
#include "train/network_args.h"
#include "train/run_settings.h"
#include "train/state_folders.h"
#include "train/step_cost.h"

namespace lora::train {
namespace {

void throw_if_wrong(const Diagnostics& found) {
    std::string text;
    std::string hint;
    for (const Diagnostic& item : found) {
        if (item.severity != Severity::kError) continue;
        if (!text.empty()) text += "; ";
        text += item.text;
        if (hint.empty()) hint = item.hint;
    }
    if (!text.empty()) throw Error(ErrorCode::kConfig, text).with_hint(hint);
}

constexpr size_t kCaptionsShown = 3;

// {trigger} and {class} in prompts of previews mean those of the first folder.
void fill_in_prompts(const data::Dataset& dataset, std::vector<SamplePrompt>& prompts) {
    for (SamplePrompt& prompt : prompts) {
        for (std::string* text : {&prompt.prompt, &prompt.negative_prompt}) {
            replace_all(*text, "{trigger}", dataset.folders.front().trigger);
            replace_all(*text, "{class}", dataset.folders.front().class_name);
        }
    }
}

std::shared_ptr<const io::SafetensorsFile> open_file(const std::string& path) {
    return std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
}

}  // namespace

void log_diagnostics(const Diagnostics& list) {
    for (const Diagnostic& item : list) {
        const std::string line = fmt::format(
            "{}: {}{}{}", item.place, item.text, item.hint.empty() ? "" : "; ", item.hint);
        if (item.severity == Severity::kNote) {
            log::info("{}", line);
        } else {
            log::warning("{}", line);
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
    settle_model_options();
    if (auto note = advise_on_model(*model_file)) plan.warnings.push_back(std::move(*note));
}

void TrainingRun::Impl::settle_model_options() {
    ModelOptions& model = options.model;
    const bool sd2 = info.family == models::Family::kSD2;
    if (model.v2 && !sd2) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("v2 is given, but {} is a Stable Diffusion 1.x model",
                                model.pretrained_model_name_or_path))
            .with_hint("leave out --v2; what a model is, is read from its shapes");
    }
    const auto warn = [this](const char* place, std::string text, std::string hint) {
        plan.warnings.push_back({Severity::kWarning, place, std::move(text), std::move(hint)});
    };
    constexpr const char* kOption = "v_parameterization";
    const bool said = model.v_parameterization.has_value();
    const bool v = model.v_parameterization.value_or(info.v_prediction);
    if (said && info.tells_prediction && v != info.v_prediction) {
        warn(kOption,
             fmt::format("the model file says that it predicts {}; trained towards {} as told",
                         info.v_prediction ? "v" : "noise",
                         v ? "v" : "noise"),
             "");
    }
    if (!said && !info.tells_prediction && sd2) {
        warn(kOption,
             "the model file does not say what it predicts; taken for noise, as the 512 px models "
             "of Stable Diffusion 2.x do",
             "add --v_parameterization for a 768 px (768-v) model");
    }
    if (!said) {
        const Diagnostics found = check_prediction_options(options.loss, v);
        throw_if_wrong(found);
        plan.warnings.insert(plan.warnings.end(), found.begin(), found.end());
    }
    model.v_parameterization = v;
    info.v_prediction = v;
    if (!sd2 || model.clip_skip <= 1) return;
    if (!model.clip_skip_given) {
        plan.warnings.push_back(
            {Severity::kNote,
             "clip_skip",
             fmt::format("the preset's {} is for Stable Diffusion 1.x and not taken here",
                         model.clip_skip),
             ""});
        model.clip_skip = 0;
    } else {
        warn("clip_skip",
             fmt::format(
                 "clip_skip {} with Stable Diffusion 2.x counts from the last but one layer, "
                 "which its text encoder ends with",
                 model.clip_skip),
             "leave it out unless the model was trained so");
    }
}

void TrainingRun::Impl::scan() {
    const data::DatasetOptions wanted = dataset_options(options, identity.seed);
    data::ScanResult found = data::scan_dataset(wanted);
    plan.warnings.insert(plan.warnings.end(), found.diagnostics.begin(), found.diagnostics.end());
    if (wanted.sets_aside()) {
        if (found.validation.empty()) {
            plan.warnings.push_back({Severity::kWarning,
                                     "validation_split",
                                     "the folders are too small: no picture is set aside",
                                     "raise validation_split"});
        }
        data::Dataset set_aside{.images = std::move(found.validation),
                                .folders = found.dataset.folders,
                                .groups = found.dataset.groups};
        // Measured as they are; encode_validation() does the same to the run's own setting.
        for (data::ConceptFolder& folder : set_aside.folders) {
            if (folder.options) folder.options->augment.flip_aug = false;
        }
        validation =
            data::assign_buckets(std::move(set_aside), data::BucketChooser(options.bucket));
    }
    data = data::assign_buckets(std::move(found.dataset), data::BucketChooser(options.bucket));
    preview_folders();
    fill_in_prompts(data.dataset, options.sample.prompts);
    for (const data::ConceptFolder& folder : data.dataset.folders) {
        const data::AugmentOptions a = folder.augment_of(options.latents.augment());
        const bool has_mask = folder.mask_of(wanted.mask).any();
        if (!has_mask || !(a.random_crop || a.face_crop_aug_range)) continue;
        throw Error(ErrorCode::kConfig,
                    fmt::format("masks of the loss do not follow the crops of {}, which differ "
                                "from draw to draw",
                                folder.path))
            .with_hint("leave random_crop and face_crop_aug_range out there, or its masks");
    }
    if (changes_pixels() && options.latents.cache_latents) {
        throw Error(ErrorCode::kConfig,
                    "latents cannot be kept when colours or crops differ from draw to draw")
            .with_hint(
                "set cache_latents to false, or leave color_aug, random_crop and "
                "face_crop_aug_range out");
    }
}

void TrainingRun::Impl::plan_steps() {
    steps = data::plan_steps(data.num_batches(options.latents.train_batch_size),
                             step_options(options.length));
    check_lr_schedule(lr_schedule_options(options.optimizer, steps.max_train_steps));
    const Rates rates = base_rates(options.optimizer, options.network);
    const FrozenParts at_end = frozen_parts(options.network, steps.num_epochs);
    const bool is_idle =
        (rates.unet == 0 || at_end.unet) && (rates.text_encoder == 0 || at_end.text_encoder);
    if (is_idle && (at_end.unet || at_end.text_encoder)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("nothing would be trained any more in the last of {} epochs",
                                steps.num_epochs))
            .with_hint("raise stop_unet_training or stop_text_encoder_training");
    }
}

bool TrainingRun::Impl::captions_are_fixed() const {
    const auto fixed = [](const data::CaptionOptions& c) {
        return !c.shuffle_caption && c.caption_dropout_rate == 0 &&
               c.caption_dropout_every_n_epochs == 0 && c.caption_tag_dropout_rate == 0 &&
               c.token_warmup_step == 0 && !c.enable_wildcard;
    };
    const auto& folders = data.dataset.folders;
    return std::all_of(folders.begin(), folders.end(), [&](const data::ConceptFolder& folder) {
        return fixed(folder.caption_of(options.caption));
    });
}

bool TrainingRun::Impl::changes_pixels() const {
    const auto& folders = data.dataset.folders;
    return std::any_of(folders.begin(), folders.end(), [&](const data::ConceptFolder& folder) {
        return folder.augment_of(options.latents.augment()).changes_pixels();
    });
}

void TrainingRun::Impl::preview_folders() {
    plan.folders.clear();
    for (const data::ConceptFolder& folder : data.dataset.folders) {
        plan.folders.push_back({.name = folder.name,
                                .trigger = folder.trigger,
                                .class_name = folder.class_name,
                                .trigger_in_front = folder.trigger_in_front,
                                .is_reg = folder.is_reg,
                                .repeats = folder.repeats,
                                .images = folder.num_images,
                                .share = 0,
                                .captions = {}});
    }
    for (size_t i = 0; i < data.dataset.images.size(); ++i) {
        const data::ImageEntry& image = data.dataset.images[i];
        FolderPreview& folder = plan.folders[static_cast<size_t>(image.folder_idx)];
        folder.share += static_cast<double>(image.repeats) / static_cast<double>(data.num_slots());
        if (folder.captions.size() >= kCaptionsShown) continue;
        data::PhiloxCaptionRandom random(
            identity.seed, 1, static_cast<uint32_t>(data.first_slot[i]));
        folder.captions.push_back(
            data::process_caption(image.caption,
                                  data.dataset.caption_of(image, options.caption),
                                  {.epoch = 1, .step = 0, .max_train_steps = 1},
                                  random));
    }
}

TrainModel TrainingRun::Impl::make_model(const NetworkOptions& network) const {
    const Rates rates = base_rates(options.optimizer, network);
    TrainModel model =
        make_train_model(info,
                         choose_modules(info, network),
                         {.dtype = dtype,
                          .quantize_base = options.device.base_quant == "int8",
                          .prediction = info.v_prediction ? diffusion::PredictionType::kVPrediction
                                                          : diffusion::PredictionType::kEpsilon,
                          .clip_skip = options.model.clip_skip,
                          .train_text_encoder = rates.text_encoder > 0,
                          .train_unet = rates.unet > 0,
                          .attach_untrained = !options.network.network_weights.empty()});
    if (!model.train_text_encoder && !model.train_unet) {
        throw Error(ErrorCode::kConfig, "every learning rate is 0, nothing would be trained")
            .with_hint("set --learning_rate, --unet_lr or --text_encoder_lr above 0");
    }
    return model;
}

StepMemory TrainingRun::Impl::step_memory(const TrainModel& model) const {
    return {.backend = backend,
            .limit_bytes = options.device.max_memory_bytes,
            .host_bytes = host_bytes(model.network),
            .optimizer = spec(),
            .keeps_average = options.optimizer.ema != "off"};
}

StepShape TrainingRun::Impl::shape_of(data::ImageSize size, int64_t batch) const {
    return {.batch = batch,
            .latent_height = size.height_px / vae.px_per_latent(),
            .latent_width = size.width_px / vae.px_per_latent(),
            .num_chunks = options.model.max_token_length / text::kWindowText};
}

// Every bucket and batch size of an epoch over these pictures, the short last batches too.
std::vector<StepShape> TrainingRun::Impl::shapes_of(const data::BucketedDataset& pictures) const {
    std::vector<StepShape> shapes;
    for (const data::BucketUse& use : pictures.buckets) {
        const int64_t batch = use.batch(options.latents.train_batch_size);
        StepShape shape = shape_of(use.size, batch);
        if (use.count >= batch) shapes.push_back(shape);
        shape.batch = use.count % batch;
        if (shape.batch > 0) shapes.push_back(shape);
    }
    return shapes;
}

// What would make a step fit, the change that costs least first.
std::string TrainingRun::Impl::memory_hint(const std::vector<StepShape>& shapes) const {
    const auto size = [](const StepShape& s) { return s.batch * s.latent_height * s.latent_width; };
    const StepShape largest = *std::max_element(
        shapes.begin(), shapes.end(), [&](const StepShape& a, const StepShape& b) {
            return size(a) < size(b);
        });
    std::vector<MemoryRemedy> remedies;
    const TrainModel model = make_model(options.network);
    if (!model.quantize_base && backend->has_own_memory()) {
        TrainModel quantized = model;
        quantized.quantize_base = true;
        remedies.push_back({"--base_quant int8", std::move(quantized), largest.batch});
    }
    for (int64_t batch = largest.batch / 2; batch >= 1; batch /= 2) {
        remedies.push_back({fmt::format("--train_batch_size {}", batch), model, batch});
    }
    if (model.train_text_encoder && model.train_unet) {
        NetworkOptions unet_only = options.network;
        unet_only.network_train_unet_only = true;
        remedies.push_back({"--network_train_unet_only", make_model(unet_only), largest.batch});
    }
    return remedy_hint(step_memory(model), largest, remedies);
}

// What every forward pass computes, whether it trains or measures.
TrainStepOptions TrainingRun::Impl::loss_options() const {
    return {.loss_weight = options.loss.weight,
            .zero_terminal_snr = options.loss.zero_terminal_snr,
            .perturbs_noise = options.loss.noise.ip_noise_gamma != 0,
            .loss = loss_kind(options.loss),
            .huber = huber_options(options.loss),
            .masks_loss = options.loss.has_mask(),
            .weighs_tokens = options.model.weighted_captions};
}

void TrainingRun::Impl::make_step() {
    TrainModel model = make_model(options.network);
    const size_t arena_limit = step_memory(model).arena_limit(model);
    TrainStepOptions wanted = loss_options();
    wanted.gradient_accumulation_steps = options.length.gradient_accumulation_steps;
    wanted.cache_contexts = captions_are_fixed();
    wanted.scale_loss = dtype == DType::kF16;
    wanted.plan = {.max_arena_bytes = arena_limit,
                   .recompute_all = options.device.gradient_checkpointing};
    step = std::make_unique<TrainStep>(*backend, std::move(model), wanted);
    const std::vector<StepShape> shapes = step_shapes();
    const std::optional<Error> wrong = attempt([&] {
        for (const StepShape& shape : shapes) step->add_shape(shape);
    });
    if (!wrong) return make_evaluator();
    if (wrong->code() != ErrorCode::kOutOfMemory) throw *wrong;
    const StepMemory memory = step_memory(step->model());
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("max_memory is {:.2f} GiB, {:.2f} of it taken before the step begins "
                            "(weights, parameters, inputs); {}",
                            static_cast<double>(memory.limit_bytes) / (1 << 30),
                            static_cast<double>(memory.beside_arena(step->model(), 0)) / (1 << 30),
                            wrong->message()))
        .with_hint(memory_hint(shapes));
}

void TrainingRun::Impl::make_evaluator() {
    evaluator.reset();
    const int64_t batch = options.latents.train_batch_size;
    const int64_t samples =
        steps.max_train_steps * batch * options.length.gradient_accumulation_steps;
    const std::optional<int64_t>& every = options.monitor.probe_every_n_steps;
    ProbePlanOptions budget = probe_budget(samples, batch, every.value_or(0) > 0);
    // Pictures that differ at every draw have no latents to ask about.
    if ((every && *every == 0) || changes_pixels()) budget.num_samples = 0;
    budget.min_timestep = options.loss.min_timestep;
    budget.max_timestep = options.loss.max_timestep;
    probe_plan = plan_probe(data, budget);
    if (probe_plan.empty() && validation.buckets.empty()) return;
    TrainStepOptions wanted = loss_options();
    wanted.max_piece = max_piece;
    wanted.forward_only = true;
    wanted.cache_contexts = true;
    wanted.plan.max_arena_bytes = step->arena_bytes();
    evaluator = std::make_unique<TrainStep>(*backend, step->model(), wanted);
    const auto wrong = attempt([&] {
        for (const ProbeBatch& question : probe_plan.batches) {
            const auto bucket = static_cast<size_t>(question.pictures.bucket_idx);
            evaluator->add_shape(
                shape_of(data.buckets[bucket].size, std::ssize(question.pictures.slots)));
        }
        for (const StepShape& shape : shapes_of(validation)) evaluator->add_shape(shape);
        if (!options.monitor.asks_every_bucket) return;
        for (const data::BucketUse& use : data.buckets) {
            evaluator->add_shape(shape_of(use.size, use.batch(batch)));
        }
    });
    if (!wrong) return;
    if (wrong->code() != ErrorCode::kOutOfMemory) throw *wrong;
    log::warning("no room for measuring the loss while training: {}", wrong->message());
    evaluator.reset();
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
    if (const uint64_t limit = options.device.max_memory_bytes; limit > 0) {
        // The step's arena comes after the VAE's, which its weights share the device with.
        const size_t weights = encoder_weight_bytes(request);
        request.max_arena_bytes = backend->has_own_memory()
                                      ? limit - std::min<size_t>(limit - 1, weights)
                                      : step_memory(step->model()).arena_limit(step->model());
    }
    return request;
}

// Latents and the copies that saving makes.
size_t TrainingRun::Impl::host_bytes(const Network& network) const {
    const auto flat = static_cast<size_t>(network.num_elements()) * sizeof(float);
    const SaveOptions& s = options.save;
    const bool has_states =
        s.save_state || s.save_state_on_train_end || s.save_state_every_n_steps > 0;
    const size_t states = state_bytes(network, spec());
    const size_t copies = has_states ? flat + states : flat + flat / 2;
    const size_t kept = flat + states;  // recovery.h
    if (changes_pixels()) return copies + kept;
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
    return copies + kept + latents;
}

void TrainingRun::Impl::fill_plan() {
    plan.num_images = static_cast<int64_t>(data.dataset.images.size());
    plan.buckets = data.buckets;
    plan.steps = steps.max_train_steps;
    plan.epochs = steps.num_epochs;
    plan.steps_per_epoch = steps.steps_per_epoch;
    plan.num_parameters = step->model().network.num_parameters();
    plan.file_bytes =
        lora_file_bytes(step->model().network, save_dtype(options.save.save_precision));
    plan.weight_bytes = weight_bytes(step->model());
    const StepMemory memory = step_memory(step->model());
    const size_t inputs = step->input_bytes() + (evaluator ? evaluator->input_bytes() : 0);
    const size_t beside = memory.beside_arena(step->model(), inputs);
    // The VAE is gone, arena and all, before a device with memory of its own takes the step's.
    const size_t encoding = vae_arena_bytes(encode_request());
    plan.planned_peak_bytes = backend->has_own_memory()
                                  ? std::max(step->arena_bytes() + beside, encoding)
                                  : std::max(step->arena_bytes(), encoding) + beside;
    plan.peak_includes_weights = backend->has_own_memory();
    plan.device_memory = backend->device_memory();
    plan.slowdown = step->slowdown();
    if (changes_pixels() && backend->has_own_memory()) {
        plan.planned_peak_bytes += encoder_weight_bytes(encode_request());  // they stay
    }
    for (Diagnostic& advice : advise(options, data, steps)) {
        const auto same = [&](const Diagnostic& d) {
            return d.place == advice.place && d.text == advice.text;
        };
        const bool known = std::any_of(plan.warnings.begin(), plan.warnings.end(), same);
        if (!known) plan.warnings.push_back(std::move(advice));
    }
    if (plan.slowdown > 1) {
        log::info(
            "to stay below max_memory more is computed twice: a step takes about {:.0f}% longer",
            100 * (plan.slowdown - 1));
    }
}

TrainingRun::TrainingRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TrainingRun::~TrainingRun() = default;

std::unique_ptr<TrainingRun> TrainingRun::open(TrainOptions options, backend::Backend& backend) {
    throw_if_wrong(check_options(options));
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
        const int64_t batch =
            std::min(use.batch(impl_->options.latents.train_batch_size), use.count);
        const StepShape shape = impl_->shape_of(use.size, batch);
        const double batches = static_cast<double>(use.count) / static_cast<double>(batch);
        seconds += batches * estimate_s(impl_->step->plan(shape).graph, rate);
        slots += batches;
    }
    const auto micro_steps = static_cast<double>(impl_->steps.max_train_steps *
                                                 impl_->options.length.gradient_accumulation_steps);
    impl_->plan.estimated_s = seconds / slots * micro_steps;
}

}  // namespace lora::train
