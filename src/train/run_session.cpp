// The part of a TrainingRun that works: latents and weights go to the device, then the loop runs
// with everything that saves, draws and measures around it.
#include "base/attempt.h"
#include "base/error.h"
#include "base/log.h"
#include "train/base_weights.h"
#include "train/internal/training_run_impl.h"
#include "train/memory_usage.h"
#include "train/previews.h"
#include "train/recovery.h"
#include "train/run_settings.h"
#include "train/trainer.h"

namespace lora::train {
namespace {

// The network's first values, for graphs that have untrained parts of it frozen.
TensorSource network_source(const Network& network,
                            std::shared_ptr<const std::vector<float>> values) {
    return [&network, values](const std::string& name) -> std::optional<SourceTensor> {
        const ParameterEntry* entry = network.find(name);
        if (entry == nullptr) return std::nullopt;
        const auto part = std::span(*values).subspan(static_cast<size_t>(entry->offset),
                                                     static_cast<size_t>(entry->count));
        return SourceTensor{{DType::kF32, entry->shape, std::as_bytes(part)}, values};
    };
}

// Null unless the options ask for one.
std::unique_ptr<Ema> make_ema(const OptimizerOptions& options,
                              backend::Backend& backend,
                              const ParameterBuffers& buffers,
                              const Network& network) {
    if (options.ema == "off") return nullptr;
    return std::make_unique<Ema>(backend, buffers, network, options.ema_decay);
}

std::unique_ptr<WeightNorms> make_weight_norms(const NetworkOptions& options,
                                               backend::Backend& backend,
                                               const ParameterBuffers& buffers,
                                               const Network& network) {
    if (options.scale_weight_norms <= 0) return nullptr;
    return std::make_unique<WeightNorms>(backend, buffers, network, options.scale_weight_norms);
}

data::LatentSource source_of(const LatentStore& store) {
    return [&store](int64_t image_idx, bool flipped) { return store.latent(image_idx, flipped); };
}

std::function<void(data::Batch&)> masks_of(const LatentStore& store) {
    return [&store](data::Batch& batch) { store.fill_masks(batch); };
}

}  // namespace

// Members are made in the order in which they stand.
struct TrainingRun::Impl::Session {
    Impl& run;
    EventSink& events;
    LatentStore latents;
    LatentStore validation_latents;
    WeightStore weights;
    ParameterBuffers buffers;
    std::string plan_identity;
    Optimizer optimizer;
    Progress progress;
    FrozenParts frozen;
    size_t resident_bytes_before = 0;
    std::shared_ptr<const std::vector<float>> untrained;  // the network as the run finds it
    std::vector<float> without_effect;  // a network that changes nothing, as new ones are
    std::unique_ptr<Ema> ema;
    std::unique_ptr<WeightNorms> weight_norms;
    std::unique_ptr<LossScaler> scaler;
    std::unique_ptr<BatchEncoder> encoder;  // with pictures that differ at every draw
    std::unique_ptr<Probe> probe;
    std::unique_ptr<Validation> validator;

    Session(Impl& impl, EventSink& sink)
        : run(impl),
          events(sink),
          latents(impl.encode(sink)),
          validation_latents(impl.validation.buckets.empty() ? LatentStore({}, 0)
                                                             : impl.encode_validation()),
          weights(*impl.backend),
          buffers(make_parameter_buffers(*impl.backend, network())),
          plan_identity(impl.plan_text()),
          optimizer(*impl.backend,
                    buffers,
                    network(),
                    impl.step->trained(),
                    impl.spec(),
                    impl.parameter_groups()) {
        impl.check_state(true);
        announce_plan();
        // Before the model's own.
        if (impl.vae_file != impl.model_file) {
            weights.add_source(vae_source(impl.vae_file, impl.vae.prefix));
        }
        const TensorSource base = merged_source(
            *impl.backend, impl.info, impl.options.network, file_source(impl.model_file));
        weights.add_source(base);
        without_effect = initial_values(network(), impl.identity.seed);
        fill_magnitudes(network(), impl.info, base, impl.dtype, without_effect);
        untrained = std::make_shared<const std::vector<float>>(impl.start_values(without_effect));
        weights.add_source(network_source(network(), untrained));
        ema = make_ema(impl.options.optimizer, *impl.backend, buffers, network());
        weight_norms = make_weight_norms(impl.options.network, *impl.backend, buffers, network());
        progress = impl.fill_buffers(buffers, *untrained, optimizer, ema.get());
        frozen = frozen_parts(impl.options.network, progress.next_epoch);
        if (frozen != FrozenParts{}) plan_frozen();  // resumed after such a part's last epoch
        impl.compile_step(weights, buffers);
        impl.compile_evaluator(weights, buffers);
        reset_peak_resident();
        resident_bytes_before = resident_bytes();
        if (impl.dtype == DType::kF16) make_scaler();
        if (impl.changes_pixels()) {
            encoder = std::make_unique<BatchEncoder>(impl.encode_request(), impl.identity.seed);
        }
        make_measures();
    }

    [[nodiscard]] const Network& network() const { return run.step->model().network; }

    void announce_plan() {
        const RunPlan& plan = run.plan;
        PlanReady ready{.images = plan.num_images,
                        .buckets = {},
                        .steps = plan.steps,
                        .epochs = plan.epochs,
                        .planned_peak_bytes = plan.planned_peak_bytes,
                        .estimated_s = plan.estimated_s};
        for (const data::BucketUse& use : plan.buckets) {
            ready.buckets.push_back({use.size.width_px, use.size.height_px, use.count});
        }
        events.on_event(ready);
    }

    void make_scaler() {
        scaler = std::make_unique<LossScaler>(*run.backend,
                                              buffers.gradients,
                                              network().num_elements(),
                                              progress.loss_scale.value_or(LossScale{}));
    }

    void make_measures() {
        if (!run.evaluator) return;
        if (!run.probe_plan.empty()) {
            probe = std::make_unique<Probe>(Probe::Parts{.data = &run.data,
                                                         .loader = run.loader_options({}),
                                                         .latents = source_of(latents),
                                                         .fill_masks = masks_of(latents),
                                                         .loss = &run.options.loss,
                                                         .seed = run.identity.seed,
                                                         .evaluator = run.evaluator.get(),
                                                         .buffers = &buffers},
                                            run.probe_plan);
        }
        if (run.validation.buckets.empty()) return;
        validator = std::make_unique<Validation>(
            Validation::Parts{.data = &run.validation,
                              .loader = run.validation_loader(),
                              .latents = source_of(validation_latents),
                              .fill_masks = masks_of(validation_latents),
                              .loss = &run.options.loss,
                              .max_batches = run.options.monitor.max_validation_steps,
                              .evaluator = run.evaluator.get()});
    }

    // Losses of the base model for these questions, with the captions of `data`.
    [[nodiscard]] std::vector<double> base_losses(const data::BucketedDataset& data,
                                                  const ProbePlan& plan) {
        Probe asked({.data = &data,
                     .loader = run.loader_options({}),
                     .latents = source_of(latents),
                     .fill_masks = masks_of(latents),
                     .loss = &run.options.loss,
                     .seed = run.identity.seed,
                     .evaluator = run.evaluator.get(),
                     .buffers = &buffers},
                    plan);
        asked.measure_base(without_effect);
        std::vector<double> losses;
        for (const ExpectedLoss::Point& point : asked.expected().points()) {
            losses.push_back(point.loss);
        }
        return losses;
    }

    std::vector<TagKnowledge> check_tags(const std::stop_token& stop) {
        constexpr int64_t kQuestions = 16;
        if (!run.evaluator) {
            throw Error(run.changes_pixels() ? ErrorCode::kConfig : ErrorCode::kOutOfMemory,
                        run.changes_pixels()
                            ? "tags cannot be checked on pictures that differ at every draw"
                            : "the device has no room for asking the base model");
        }
        const data::CaptionOptions& captions = run.options.caption;
        data::BucketedDataset altered = run.data;
        std::vector<TagKnowledge> found;
        const std::vector<TagUse> uses = tags_of(run.data.dataset, captions);
        for (const TagUse& use : uses) {
            if (stop.stop_requested()) throw Error(ErrorCode::kCancelled, "stopped");
            const int64_t batch = run.options.latents.train_batch_size;
            const ProbePlan plan = plan_probe(run.data,
                                              {.batch_size = batch,
                                               .num_samples = std::max(kQuestions, batch),
                                               .num_repeated = batch,
                                               .min_timestep = run.options.loss.min_timestep,
                                               .max_timestep = run.options.loss.max_timestep,
                                               .images = use.images});
            for (const int64_t image : use.images) {
                data::ImageEntry& entry = altered.dataset.images[static_cast<size_t>(image)];
                entry.caption =
                    without_tag(entry.caption,
                                use.tag,
                                altered.dataset.caption_of(entry, captions).caption_separator);
            }
            found.push_back(
                judge_tag(use, base_losses(run.data, plan), base_losses(altered, plan)));
            for (const int64_t image : use.images) {
                const auto idx = static_cast<size_t>(image);
                altered.dataset.images[idx].caption = run.data.dataset.images[idx].caption;
            }
            events.on_event(PrecomputeProgress{std::ssize(found), std::ssize(uses)});
        }
        return found;
    }

    [[nodiscard]] Monitor make_monitor() {
        return Monitor({.options = &run.options.monitor,
                        .probe = probe.get(),
                        .validation = validator.get(),
                        .network = &network(),
                        .base_values = without_effect,
                        .events = &events});
    }

    [[nodiscard]] RunSaver make_saver(EventSink& sink) {
        return RunSaver({.options = &run.options,
                         .network = &network(),
                         .buffers = &buffers,
                         .optimizer = &optimizer,
                         .ema = ema.get(),
                         .metadata = {.options = &run.options,
                                      .data = &run.data,
                                      .steps = run.steps,
                                      .identity = run.identity,
                                      .model = {},
                                      .vae = {},
                                      .family = run.info.family},
                         .fixed = run.fixed(),
                         .free = free_settings(run.options),
                         .plan = plan_identity,
                         .events = &sink});
    }

    [[nodiscard]] Previews make_previews(const ParameterBuffers& shown) {
        return Previews({.backend = run.backend,
                         .weights = &weights,
                         .model = &run.step->model(),
                         .vae = run.vae,
                         .buffers = &shown,
                         .options = &run.options.sample,
                         .output_dir = run.options.save.output_dir,
                         .output_name = run.options.save.output_name,
                         .seed = run.identity.seed,
                         .events = &events});
    }

    // After out of memory.
    void shrink(const Error& why) {
        run.make_smaller(why);
        run.compile_step(weights, buffers);
        run.compile_evaluator(weights, buffers);
        // Those that measure held the evaluator; without it nothing is measured any more.
        if (!run.evaluator) {
            probe.reset();
            validator.reset();
        }
    }

    void plan_frozen() {
        run.step->freeze(frozen);
        optimizer.retrain(run.step->trained());
    }

    void freeze(const FrozenParts& wanted) {
        frozen = wanted;
        plan_frozen();
        run.compile_step(weights, buffers);
        buffers.gradients->fill_zero();
    }

    RunResult train(const std::stop_token& stop) {
        Monitor monitor = make_monitor();
        TeeSink saver_events({&events, &monitor});
        RunSaver saver = make_saver(saver_events);
        const ParameterBuffers shown =
            run.options.optimizer.ema == "instead" ? ema->buffers() : buffers;
        Previews previews = make_previews(shown);
        Recovery recovery({.save = &run.options.save,
                           .identity = run.identity,
                           .network = &network(),
                           .buffers = &buffers,
                           .optimizer = &optimizer,
                           .ema = ema.get()});
        Trainer::Parts parts{
            .options = &run.options,
            .seed = run.identity.seed,
            .steps = run.steps,
            .data = &run.data,
            .make_loader = {},
            .latents = &latents,
            .encoder = encoder.get(),
            .micro_step = run.step.get(),
            .make_smaller = {},
            .frozen = frozen,
            .set_frozen = {},
            .network = &network(),
            .buffers = &buffers,
            .optimizer = &optimizer,
            .scaler = scaler.get(),
            .weight_norms = weight_norms.get(),
            .ema = ema.get(),
            .schedule = lr_schedule_options(run.options.optimizer, run.steps.max_train_steps),
            .rates = base_rates(run.options.optimizer, run.options.network),
            .saver = &saver,
            .recovery = &recovery,
            .monitor = &monitor,
            .previews = &previews,
            .events = &events};
        parts.make_loader = [this](const Progress& at) {
            data::LoaderOptions loading = run.loader_options(at);
            if (encoder) {
                loading.pixels = [this](const data::PictureDraw& draw) {
                    return encoder->pixels(draw);
                };
            }
            return std::make_unique<data::Loader>(run.data, std::move(loading), source_of(latents));
        };
        parts.set_frozen = [this](const FrozenParts& wanted) { freeze(wanted); };
        parts.make_smaller = [this, &monitor](const Error& why) {
            shrink(why);
            monitor.set_measures(probe.get(), validator.get());
        };
        return Trainer(std::move(parts), progress).run(stop);
    }
};

// Without room the run goes on unmeasured.
void TrainingRun::Impl::compile_evaluator(WeightStore& weights, const ParameterBuffers& buffers) {
    if (!evaluator) return;
    const auto wrong = attempt([&] {
        const bool is_too_large = max_piece > 0 && evaluator->largest_piece() > max_piece;
        if (is_too_large || evaluator->is_compiled()) {
            evaluator->replan(step->arena_bytes(), max_piece);
        }
        evaluator->compile(weights, buffers);
    });
    if (!wrong) return;
    if (wrong->code() != ErrorCode::kOutOfMemory) throw *wrong;
    log::warning("no room for measuring the loss while training: {}", wrong->message());
    evaluator.reset();
}

std::vector<TagKnowledge> TrainingRun::Impl::check_tags(const std::stop_token& stop,
                                                        EventSink& events) {
    return Session(*this, events).check_tags(stop);
}

RunResult TrainingRun::Impl::train(const std::stop_token& stop, EventSink& events) {
    Session session(*this, events);
    RunResult result = session.train(stop);
    result.planned_peak_bytes = plan.planned_peak_bytes;
    const size_t peak = peak_resident_bytes();
    const size_t before = session.resident_bytes_before;
    result.measured_peak_bytes = peak > before ? peak - before : 0;
    if (backend->has_own_memory()) result.measured_peak_bytes = backend->device_bytes_in_use();
    return result;
}

}  // namespace lora::train
