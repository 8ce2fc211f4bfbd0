#include "train/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/log.h"
#include "train/run_settings.h"
#include "train/step_inputs.h"

namespace lora::train {
namespace {

double now_s() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
}

}  // namespace

Trainer::Trainer(Parts parts, Progress progress)
    : parts_(std::move(parts)), progress_(std::move(progress)), frozen_(parts_.frozen) {
    if (parts_.scaler != nullptr) {
        progress_.loss_scale = parts_.scaler->state();
        parts_.micro_step->set_loss_scale(parts_.scaler->state().scale);
    }
}

RunResult Trainer::run(const std::stop_token& stop) {
    if (parts_.previews != nullptr && progress_.step == 0) parts_.previews->at_start();
    parts_.monitor->at_start(progress_.monitor);
    updated_ = progress_;
    parts_.recovery->keep(progress_);
    started_s_ = step_started_s_ = now_s();
    bool has_more = true;  // until the loader ends
    while (has_more && !is_finished()) {
        if (const auto problem = attempt([&] { has_more = do_batch(); })) survive(*problem);
        const bool is_between = updated_.next_epoch == progress_.next_epoch &&
                                updated_.next_batch == progress_.next_batch;
        if (stop.stop_requested() && is_between && !is_finished()) cancel();
    }
    return finish();
}

bool Trainer::do_batch() {
    if (!loader_) loader_ = parts_.make_loader(progress_);
    std::optional<data::Batch> batch = loader_->next();
    if (!batch) return false;
    batch_ = std::move(*batch);
    if (batch_.holds_pixels) {
        parts_.encoder->encode(batch_);
    } else {
        parts_.latents->redraw(batch_);
    }
    parts_.latents->fill_masks(batch_);
    begin_epoch(batch_);
    freeze_due(batch_);
    accumulate(batch_);  // forward and backward
    if (!batch_.is_update) return true;
    update(batch_);    // norm, clip, optimizer
    save_due(batch_);  // files and states of this step or epoch
    return true;
}

void Trainer::begin_epoch(const data::Batch& batch) {
    if (batch.batch_idx != 0) return;
    parts_.events->on_event(EpochStarted{batch.epoch, parts_.steps.num_epochs});
}

// Also back again, when the run has gone back to an earlier epoch.
void Trainer::freeze_due(const data::Batch& batch) {
    const FrozenParts wanted = frozen_parts(parts_.options->network, batch.epoch);
    if (wanted == frozen_) return;
    parts_.set_frozen(wanted);
    frozen_ = wanted;
    if (wanted.text_encoder) log::info("the text encoder stays as it is from here on");
    if (wanted.unet) log::info("the UNet stays as it is from here on");
}

void Trainer::accumulate(const data::Batch& batch) {
    const int64_t micro_step = (batch.epoch - 1) * parts_.steps.num_batches + batch.batch_idx;
    const StepInputs inputs =
        make_step_inputs(batch, parts_.options->loss, parts_.seed, micro_step);
    result_ = {};
    result_ = with_context(fmt::format("in step {}, epoch {}", progress_.step + 1, batch.epoch),
                           [&] { return parts_.micro_step->run(inputs); });
    // With fp16 it may be out of range; the update is skipped then.
    if (!std::isfinite(result_.loss) && parts_.scaler == nullptr) {
        throw Error(ErrorCode::kNumeric, fmt::format("the loss is {}", result_.loss));
    }
    if (std::isfinite(result_.loss)) progress_.losses.add(batch.batch_idx, result_.loss);
    if (batch.is_update) {
        relative_loss_ = parts_.monitor->relative(result_.losses, inputs.timesteps);
    }
    progress_.next_epoch = batch.ends_epoch ? batch.epoch + 1 : batch.epoch;
    progress_.next_batch = batch.ends_epoch ? 0 : batch.batch_idx + 1;
}

double Trainer::apply_update(const Rates& rates) {
    if (parts_.scaler == nullptr) return parts_.optimizer->update(updates_done() + 1, rates);
    const bool finite = parts_.scaler->unscale();
    const double norm = finite ? parts_.optimizer->update(updates_done() + 1, rates)
                               : std::numeric_limits<double>::infinity();
    if (!finite) {
        log::info("step {} is skipped: its gradients are out of range; the loss scale is {} now",
                  progress_.step + 1,
                  parts_.scaler->state().scale);
    }
    progress_.loss_scale = parts_.scaler->state();
    parts_.micro_step->set_loss_scale(parts_.scaler->state().scale);
    return norm;
}

void Trainer::update(const data::Batch& batch) {
    const double multiplier =
        lr_multiplier(parts_.schedule, updates_done()) * progress_.rate_factor;
    const Rates rates{
        .text_encoder = frozen_.text_encoder ? 0 : parts_.rates.text_encoder * multiplier,
        .unet = frozen_.unet ? 0 : parts_.rates.unet * multiplier};
    const int64_t step = updates_done() + 1;
    is_updating_ = true;
    const double norm = apply_update(rates);
    if (!std::isfinite(norm) && parts_.scaler == nullptr) {
        throw Error(ErrorCode::kNumeric, fmt::format("the gradient norm is {}", norm));
    }
    std::optional<MaxNorm> max_norm;
    if (parts_.weight_norms != nullptr) max_norm = parts_.weight_norms->limit();
    if (parts_.ema != nullptr) parts_.ema->update(progress_.step + 1);
    is_updating_ = false;
    if (parts_.micro_step->accumulates()) parts_.buffers->gradients->fill_zero();
    ++progress_.step;
    updated_ = progress_;
    last_step_ms_ = (now_s() - step_started_s_) * 1e3;
    parts_.events->on_event(
        StepDone{.step = progress_.step,
                 .steps = parts_.steps.max_train_steps,
                 .epoch = batch.epoch,
                 .loss = result_.loss,
                 .relative_loss = relative_loss_,
                 .average_loss = progress_.losses.average(),
                 .lr_unet = parts_.optimizer->effective_rate(step, rates.unet),
                 .lr_text_encoder = parts_.optimizer->effective_rate(step, rates.text_encoder),
                 .d = parts_.optimizer->adapted_distance(),
                 .group_rates = parts_.optimizer->named_rates(rates),
                 .grad_norm = norm,
                 .max_norm = max_norm,
                 .step_ms = last_step_ms_});
}

void Trainer::save_due(const data::Batch& batch) {
    parts_.recovery->keep(progress_);
    // Before the files, so that a state knows of it.
    parts_.monitor->after_step(progress_.monitor, place(), last_step_ms_);
    if (batch.ends_epoch) parts_.monitor->after_epoch(progress_.monitor, place());
    updated_.monitor = progress_.monitor;
    parts_.saver->after_step(progress_, batch.epoch);
    if (parts_.previews != nullptr) parts_.previews->after_step(progress_.step, batch.epoch);
    if (batch.ends_epoch) {
        parts_.saver->after_epoch(progress_, batch.epoch);
        if (parts_.previews != nullptr) parts_.previews->after_epoch(progress_.step, batch.epoch);
    }
    step_started_s_ = now_s();
}

void Trainer::survive(const Error& problem) {
    if (problem.code() == ErrorCode::kNumeric) return go_back(problem);
    // Before the update nothing but gradients has changed.
    if (problem.code() != ErrorCode::kOutOfMemory || is_updating_) throw Error(problem);
    parts_.make_smaller(problem);
    continue_from(updated_);
}

void Trainer::go_back(const Error& problem) {
    is_updating_ = false;
    const std::string cause =
        numeric_cause(*parts_.network, *parts_.buffers, *parts_.data, batch_, result_);
    const int64_t failed_step = progress_.step + 1;
    const std::optional<Progress> good = parts_.recovery->go_back(progress_);
    if (!good) give_up(problem, cause);
    log::warning(
        "step {}: {}: {}. Going back to step {}, with {:g} of the learning rate from there on",
        failed_step,
        problem.message(),
        cause,
        good->step,
        good->rate_factor);
    parts_.events->on_event(WentBack{.failed_step = failed_step,
                                     .step = good->step,
                                     .cause = fmt::format("{}: {}", problem.message(), cause),
                                     .rate_factor = good->rate_factor});
    parts_.monitor->go_back(good->monitor, good->step);
    continue_from(*good);
}

void Trainer::give_up(const Error& problem, const std::string& cause) {
    const int64_t failed_step = progress_.step + 1;
    continue_from(parts_.recovery->good());
    const std::string path = parts_.saver->save_stopped(progress_);
    end("failed");
    Error error = Error(ErrorCode::kNumeric,
                        fmt::format("{}: {}; smaller rates from an earlier step did not help",
                                    problem.message(),
                                    cause))
                      .with_hint(fmt::format(
                          "lower the learning rate or use --mixed_precision no; the state of step "
                          "{} is kept: --resume \"{}\"",
                          progress_.step,
                          path));
    error.add_context(fmt::format("in step {}, epoch {}", failed_step, batch_.epoch));
    throw error;
}

void Trainer::continue_from(const Progress& progress) {
    progress_ = progress;
    updated_ = progress;
    loader_.reset();
    parts_.buffers->gradients->fill_zero();
    if (parts_.scaler != nullptr && progress_.loss_scale) {
        parts_.scaler->restore(*progress_.loss_scale);
        parts_.micro_step->set_loss_scale(progress_.loss_scale->scale);
    }
    step_started_s_ = now_s();
}

void Trainer::cancel() {
    const std::string path = parts_.saver->save_stopped(progress_);
    end("cancelled");
    throw Error(
        ErrorCode::kCancelled,
        fmt::format("stopped after step {} of {}", progress_.step, parts_.steps.max_train_steps))
        .with_hint(fmt::format("go on with --resume \"{}\"", path));
}

void Trainer::end(const char* status) {
    parts_.events->on_event(RunEnded{.status = status,
                                     .step = progress_.step,
                                     .seconds = seconds(),
                                     .average_loss = progress_.losses.average(),
                                     .measured_peak_bytes = 0,
                                     .output_file = {}});
}

RunResult Trainer::finish() {
    RunResult result;
    result.output_file = parts_.saver->save_final(progress_);
    result.steps = progress_.step;
    result.average_loss = progress_.losses.average();
    result.verdict = parts_.monitor->at_end(progress_.monitor, place());
    return result;
}

RunPlace Trainer::place() const {
    return {progress_.step, batch_.epoch, progress_.losses.average()};
}

double Trainer::seconds() const { return now_s() - started_s_; }

}  // namespace lora::train
