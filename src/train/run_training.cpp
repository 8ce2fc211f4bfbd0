// What a TrainingRun needs before its loop (run_session.cpp) can run: latents, first values, what a
// state must agree with, plans for devices that are too small; and the sinks around it.
#include <chrono>
#include <ctime>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "train/base_weights.h"
#include "train/internal/training_run_impl.h"
#include "train/lora_file.h"
#include "train/network_args.h"
#include "train/run_page.h"
#include "train/run_settings.h"
#include "train/save_names.h"
#include "train/state_folders.h"
#include "train/tensorboard.h"

namespace lora::train {
namespace {

std::string model_identity(const std::string& path) {
    return fmt::format("{} bytes, {}", file_size_bytes(path), legacy_model_hash(path));
}

// The finished file must fit: better to hear it before the first step than after the last.
void require_room(const std::string& folder, const Network& network, const std::string& precision) {
    const uint64_t needed =
        static_cast<uint64_t>(network.num_elements()) * dtype_bytes(save_dtype(precision));
    const uint64_t free = free_disk_bytes(folder);
    if (free >= needed) return;
    throw Error(ErrorCode::kIo,
                fmt::format("the disk of {} has {:.1f} MiB free; the LoRA file alone needs {:.1f}",
                            folder,
                            static_cast<double>(free) / (1 << 20),
                            static_cast<double>(needed) / (1 << 20)))
        .with_hint("free some space on that disk, or choose another output_dir");
}

}  // namespace

const Settings& TrainingRun::Impl::fixed() {
    if (!fixed_found) {
        fixed_found = fixed_settings(
            options, data, model_identity(options.model.pretrained_model_name_or_path), dtype);
        (*fixed_found)["seed"] = fmt::format("{}", identity.seed);
    }
    return *fixed_found;
}

void TrainingRun::Impl::check_state(bool with_data) {
    if (resume.empty()) return;
    StateSummary saved = read_state_summary(resume);
    Settings settings = fixed();
    if (!with_data) {
        for (const char* pictures : {"train_data_dir", "loss mask"}) {
            settings.erase(pictures);
            saved.fixed.erase(pictures);
        }
    }
    const Diagnostics warnings = compare_settings(saved, settings, free_settings(options));
    if (with_data) log_diagnostics(warnings);
    constexpr const char* kHint = "raise --max_train_epochs or --max_train_steps to train further";
    if (saved.step > steps.max_train_steps) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("the train state has {} steps, the run ends at {}",
                                saved.step,
                                steps.max_train_steps))
            .with_hint(kHint);
    }
    // Stopped between the last state and the file: what is missing is the file.
    if (with_data && saved.step == steps.max_train_steps) {
        log::info("the train state is at the last step, {}; only the final file is written ({})",
                  saved.step,
                  kHint);
    }
}

void TrainingRun::Impl::drop_pictures(const std::vector<UnreadablePicture>& unreadable) {
    std::vector<bool> drop(data.dataset.images.size(), false);
    for (const UnreadablePicture& picture : unreadable) {
        const auto idx = static_cast<size_t>(picture.image_idx);
        drop[idx] = true;
        log::warning("{} is left out: {}", data.dataset.images[idx].path, picture.reason);
    }
    data::Dataset kept = std::move(data.dataset);
    std::vector<data::ImageEntry> images;
    for (size_t i = 0; i < kept.images.size(); ++i) {
        if (!drop[i]) {
            images.push_back(std::move(kept.images[i]));
        } else {
            const data::ImageEntry& gone = kept.images[i];
            --kept.folders[static_cast<size_t>(gone.folder_idx)].num_images;
            (gone.is_reg ? kept.num_reg_images : kept.num_train_images) -= gone.repeats;
        }
    }
    if (images.empty()) {
        throw Error(ErrorCode::kData,
                    fmt::format("no picture in {} can be decoded", options.dataset.train_data_dir));
    }
    kept.images = std::move(images);
    fixed_found.reset();
    data = data::assign_buckets(std::move(kept), data::BucketChooser(options.bucket));
    plan_steps();
    make_step();
    fill_plan();
}

void TrainingRun::Impl::add_masks(const EncodeRequest& request, LatentStore& store) const {
    if (options.loss.has_mask()) load_loss_masks(request, store);
}

LatentStore TrainingRun::Impl::encode(EventSink& events) {
    EncodeRequest request = encode_request();
    request.on_progress = [&events](int64_t done, int64_t total) {
        events.on_event(PrecomputeProgress{done, total});
    };
    const LatentStoreOptions store_options{.seed = identity.seed,
                                           .redraw = !options.latents.cache_latents,
                                           .latent_scale = vae.latent_scale};
    LatentStore store(store_options, data.dataset.images.size());
    std::vector<UnreadablePicture> unreadable;
    if (!changes_pixels()) unreadable = encode_latents(request, store);
    if (unreadable.empty()) {
        add_masks(request, store);
        return store;
    }
    drop_pictures(unreadable);
    request.on_progress = nullptr;
    LatentStore again(store_options, data.dataset.images.size());
    if (!encode_latents(request, again).empty()) {
        throw Error(ErrorCode::kData, "pictures changed while they were read");
    }
    add_masks(request, again);
    return again;
}

// Pictures that cannot be decoded are left out.
LatentStore TrainingRun::Impl::encode_validation() {
    LatentOptions plain = options.latents;
    plain.flip_aug = false;
    for (;;) {
        EncodeRequest request = encode_request();
        request.data = &validation;
        request.options = &plain;
        LatentStore store({.seed = identity.seed, .latent_scale = vae.latent_scale},
                          validation.dataset.images.size());
        const std::vector<UnreadablePicture> unreadable = encode_latents(request, store);
        if (unreadable.empty()) {
            add_masks(request, store);
            return store;
        }
        data::Dataset kept = std::move(validation.dataset);
        for (auto picture = unreadable.rbegin(); picture != unreadable.rend(); ++picture) {
            const auto at = kept.images.begin() + picture->image_idx;
            log::warning("{} is left out: {}", at->path, picture->reason);
            kept.images.erase(at);
        }
        validation = data::assign_buckets(std::move(kept), data::BucketChooser(options.bucket));
        make_evaluator();
    }
}

std::vector<float> TrainingRun::Impl::start_values(std::vector<float> values) const {
    const Network& network = step->model().network;
    const std::string& path = options.network.network_weights;
    if (path.empty()) return values;
    const LoadReport report = load_lora(path, network, values);
    if (!report.missing.empty()) {
        log::warning("{}: {} tensors of the network are missing, first {}",
                     path,
                     report.missing.size(),
                     report.missing.front());
    }
    if (!report.unexpected.empty()) {
        log::warning("{}: {} tensors are not of this network, first {}",
                     path,
                     report.unexpected.size(),
                     report.unexpected.front());
    }
    return values;
}

OptimizerSpec TrainingRun::Impl::spec() const {
    const OptimizerOptions& o = options.optimizer;
    return optimizer_spec(o.optimizer_type, o.optimizer_args, o.max_grad_norm);
}

ParameterGroups TrainingRun::Impl::parameter_groups() const {
    return make_parameter_groups(step->model().network,
                                 read_network_args(options.network).blocks.groups);
}

Progress TrainingRun::Impl::fill_buffers(const ParameterBuffers& buffers,
                                         std::span<const float> start,
                                         Optimizer& optimizer,
                                         Ema* ema) const {
    if (resume.empty()) {
        write_floats(*buffers.values, start);
        optimizer.start();
        if (ema != nullptr) ema->start();
        return {};
    }
    const TrainState state = load_state(resume, step->model().network, slots_with(optimizer, ema));
    write_floats(*buffers.values, state.values);
    write_states_with(optimizer, ema, state.states);
    if (state.summary.meaning == 0) {
        log::info("{} was written in an older format and is taken over as it is", resume);
    }
    if (state.summary.plan != plan_text()) {
        log::warning(
            "device, build or plan changed since the state was saved: the rest of the run is "
            "not bit-identical to an uninterrupted one");
    }
    log::info("resuming {} after step {}", resume, state.summary.step);
    if (state.summary.rate_factor < 1) {
        log::info("at {:g} of the learning rate, since steps of that run were not finite",
                  state.summary.rate_factor);
    }
    return progress_of(state.summary);
}

std::string TrainingRun::Impl::plan_text() const {
    return fmt::format("{}, {}, {}, {:016x}",
                       backend->name(),
                       backend->device_description(),
                       dtype_name(dtype),
                       step->plan_identity());
}

data::LoaderOptions TrainingRun::Impl::loader_options(const Progress& progress) const {
    return {
        .seed = identity.seed,
        .batch_size = options.latents.train_batch_size,
        .flip_aug = options.latents.flip_aug,
        .gradient_accumulation_steps = options.length.gradient_accumulation_steps,
        .caption = options.caption,
        .weighted_captions = options.model.weighted_captions,
        .chunks = {.max_token_length = options.model.max_token_length,
                   .family = info.family == models::Family::kSD2 ? text::TextEncoderFamily::kSD2
                                                                 : text::TextEncoderFamily::kSD1},
        .plan = steps,
        .first_epoch = progress.next_epoch,
        .first_batch_idx = progress.next_batch};
}

data::LoaderOptions TrainingRun::Impl::validation_loader() const {
    data::LoaderOptions loader = loader_options({});
    loader.seed = validation_seed();
    loader.never_flips = true;
    loader.gradient_accumulation_steps = 1;
    loader.plan =
        data::plan_steps(validation.num_batches(loader.batch_size), {.max_train_epochs = 1});
    return loader;
}

void TrainingRun::Impl::announce(EventSink& events, const std::string& run) const {
    RunStarted started{.run = run,
                       .output_name = options.save.output_name,
                       .backend = std::string(backend->name()),
                       .device = backend->device_description(),
                       .dtype = std::string(dtype_name(dtype)),
                       .seed = identity.seed};
    if (!resume.empty()) started.resumed_step = read_state_summary(resume).step;
    events.on_event(started);
}

// More is computed twice; when that is not enough, batches are worked off in halves.
void TrainingRun::Impl::make_smaller(const Error& why) {
    const size_t smaller = step->arena_bytes() / 5 * 4;
    if (!attempt([&] { step->replan(smaller, max_piece); })) {
        log::warning(
            "the device has no room for the plan: planned again with {} MiB of working memory, "
            "a step takes about {:.0f}% longer",
            step->arena_bytes() >> 20U,
            100 * (step->slowdown() - 1));
        return;
    }
    const int64_t half = (step->largest_piece() + 1) / 2;
    const bool is_halved =
        half < step->largest_piece() && !attempt([&] {
            step->replan(step_memory(step->model()).arena_limit(step->model()), half);
        });
    if (!is_halved) throw Error(why).with_hint(memory_hint(step_shapes()));
    max_piece = half;
    log::warning(
        "the device has no room for a whole batch: it is worked off in pieces of {}, whose "
        "gradients add up to those of the batch; {} MiB of working memory",
        half,
        step->arena_bytes() >> 20U);
}

void TrainingRun::Impl::compile_step(WeightStore& weights, const ParameterBuffers& buffers) {
    for (;;) {
        const std::optional<Error> wrong = attempt([&] { step->compile(weights, buffers); });
        if (!wrong) return;
        if (wrong->code() != ErrorCode::kOutOfMemory) throw *wrong;
        make_smaller(*wrong);
    }
}

std::vector<TagKnowledge> TrainingRun::check_tags(const std::stop_token& stop, EventSink& events) {
    log_diagnostics(impl_->plan.warnings);
    return impl_->check_tags(stop, events);
}

RunResult TrainingRun::train(const std::stop_token& stop, EventSink& events) {
    Impl& impl = *impl_;
    const SaveOptions& save = impl.options.save;
    make_directories(save.output_dir);
    // Fails now, not after hours, when the folder cannot be written; leaves nothing behind.
    AtomicFile(join_path(save.output_dir, "lora.probe")).write("x");
    require_room(save.output_dir, impl.step->model().network, save.save_precision);
    remove_leftovers(save);
    log_diagnostics(impl.plan.warnings);
    const std::string run = impl.options.log.log_prefix + time_stamp();
    std::unique_ptr<JsonLinesSink> file;
    std::unique_ptr<TensorBoardSink> curves;
    std::unique_ptr<RunPageSink> page;
    std::vector<EventSink*> sinks{&events};
    if (!impl.options.log.logging_dir.empty()) {
        const std::string folder = join_path(impl.options.log.logging_dir, run);
        file = std::make_unique<JsonLinesSink>(join_path(folder, "events.jsonl"));
        curves = std::make_unique<TensorBoardSink>(
            join_path(folder, "network_train"),
            TensorBoardSink::Parts{.unet = impl.step->model().train_unet,
                                   .text_encoder = impl.step->model().train_text_encoder});
        sinks.push_back(file.get());
        sinks.push_back(curves.get());
        page = std::make_unique<RunPageSink>(folder, impl.options.log.logging_dir);
        sinks.push_back(page.get());
    }
    TeeSink all(sinks);
    const auto start = std::chrono::steady_clock::now();
    impl.announce(all, run);
    RunResult result = impl.train(stop, all);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    all.on_event(RunEnded{.status = "done",
                          .step = result.steps,
                          .seconds = elapsed.count(),
                          .average_loss = result.average_loss,
                          .measured_peak_bytes = result.measured_peak_bytes,
                          .output_file = result.output_file,
                          .probe_relative = result.verdict.probe_relative,
                          .probe_trend = result.verdict.probe_trend,
                          .best_weight = result.verdict.best_weight,
                          .advised_file = result.verdict.advised_file});
    return result;
}

}  // namespace lora::train
