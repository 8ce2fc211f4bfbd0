#include "train/run_saver.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "base/wall_clock.h"
#include "train/lora_file.h"
#include "train/save_names.h"
#include "train/state_folders.h"

namespace lora::train {

Progress progress_of(const StateSummary& summary) {
    return {.step = summary.step,
            .next_epoch = summary.epoch,
            .next_batch = summary.batch_idx,
            .losses = LossAverage(summary.losses),
            .loss_scale = summary.loss_scale,
            .rate_factor = summary.rate_factor,
            .monitor = summary.monitor};
}

std::string RunSaver::path_of(const std::string& name) const {
    return join_path(parts_.options->save.output_dir, name);
}

void RunSaver::hash_models() {
    if (has_hashes_) return;
    const ModelOptions& model = parts_.options->model;
    parts_.metadata.model = hash_model_file(model.pretrained_model_name_or_path);
    if (!model.vae.empty()) parts_.metadata.vae = hash_model_file(model.vae);
    has_hashes_ = true;
}

// With ema, one file beside it or the average in its place.
void RunSaver::save_file(const std::string& name, int64_t step, int64_t epoch) {
    hash_models();
    const io::Metadata metadata =
        make_metadata(parts_.metadata, {.step = step, .epoch = epoch, .finished_at = file_time()});
    const std::string& ema = parts_.options->optimizer.ema;
    if (parts_.ema == nullptr || ema != "instead") {
        write_network(name, parts_.optimizer->finished_values(), metadata);
    }
    if (parts_.ema != nullptr) {
        const std::vector<float> average = read_floats(*parts_.ema->buffers().values);
        write_network(ema == "instead" ? name : ema_file_name(name), average, metadata);
    }
    parts_.events->on_event(FileSaved{path_of(name), step, epoch});
}

void RunSaver::write_network(const std::string& name,
                             std::span<const float> values,
                             const io::Metadata& metadata) const {
    const DType dtype = save_dtype(parts_.options->save.save_precision);
    save_lora(path_of(name), *parts_.network, values, dtype, metadata);
}

void RunSaver::remove_file(const std::string& name) const {
    remove_file_if_exists(path_of(name));
    if (parts_.options->optimizer.ema == "extra") {
        remove_file_if_exists(path_of(ema_file_name(name)));
    }
}

void RunSaver::save_run_state(const std::string& name, const Progress& progress, int64_t epoch) {
    TrainState state;
    state.summary = {.step = progress.step,
                     .epoch = progress.next_epoch,
                     .batch_idx = progress.next_batch,
                     .identity = parts_.metadata.identity,
                     .losses = progress.losses.losses(),
                     .loss_scale = progress.loss_scale,
                     .rate_factor = progress.rate_factor,
                     .monitor = progress.monitor,
                     .fixed = parts_.fixed,
                     .free = parts_.free,
                     .plan = parts_.plan};
    state.values = read_floats(*parts_.buffers->values);
    state.states = read_states_with(*parts_.optimizer, parts_.ema);
    save_state(path_of(name), *parts_.network, state);
    parts_.events->on_event(StateSaved{path_of(name), progress.step, epoch});
}

void RunSaver::save_rolling(const Progress& progress, int64_t epoch) {
    const std::string name = rolling_state_name(parts_.options->save, progress.step);
    save_run_state(name, progress, epoch);
    remove_rolling_states(parts_.options->save, path_of(name));
}

void RunSaver::after_step(const Progress& progress, int64_t epoch) {
    const SaveOptions& o = parts_.options->save;
    const int64_t step = progress.step;
    if (saves_step(o.save_every_n_steps, step)) {
        save_file(step_file_name(o, step), step, epoch - 1);
        if (o.save_state) save_run_state(step_state_name(o, step), progress, epoch);
        if (const auto old = old_step(step, o.save_every_n_steps, o.save_last_n_steps)) {
            remove_file(step_file_name(o, *old));
        }
        const int64_t keep =
            o.save_last_n_steps_state > 0 ? o.save_last_n_steps_state : o.save_last_n_steps;
        if (const auto old = old_step(step, o.save_every_n_steps, keep)) {
            remove_state(path_of(step_state_name(o, *old)));
        }
    }
    if (saves_step(o.save_state_every_n_steps, step)) save_rolling(progress, epoch);
}

void RunSaver::after_epoch(const Progress& progress, int64_t epoch) {
    const SaveOptions& o = parts_.options->save;
    int64_t every = o.save_every_n_epochs;
    if (o.save_n_epoch_ratio > 0) {
        every = data::save_every_from_ratio(parts_.metadata.steps, o.save_n_epoch_ratio);
    }
    if (!saves_epoch(every, epoch, parts_.metadata.steps.num_epochs)) return;
    save_file(epoch_file_name(o, epoch), progress.step, epoch);
    if (const auto old = old_epoch(epoch, every, o.save_last_n_epochs)) {
        remove_file(epoch_file_name(o, *old));
    }
    if (o.save_state) save_run_state(epoch_state_name(o, epoch), progress, epoch);
    const int64_t keep =
        o.save_last_n_epochs_state > 0 ? o.save_last_n_epochs_state : o.save_last_n_epochs;
    if (const auto old = old_epoch(epoch, every, keep)) {
        remove_state(path_of(epoch_state_name(o, *old)));
    }
}

std::string RunSaver::save_final(const Progress& progress) {
    const SaveOptions& o = parts_.options->save;
    const int64_t epochs = parts_.metadata.steps.num_epochs;
    save_file(final_file_name(o), progress.step, epochs);
    if (o.save_state || o.save_state_on_train_end) {
        save_run_state(final_state_name(o), progress, epochs);
    }
    remove_rolling_states(o, "");
    return path_of(final_file_name(o));
}

std::string RunSaver::save_stopped(const Progress& progress) {
    const std::string name = rolling_state_name(parts_.options->save, progress.step);
    if (!is_whole_state(path_of(name))) save_rolling(progress, progress.next_epoch);
    return path_of(name);
}

}  // namespace lora::train
