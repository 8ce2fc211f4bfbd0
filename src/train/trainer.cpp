#include "train/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "train/step_inputs.h"

namespace lora::train {
namespace {

double now_s() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double>(now).count();
}

}  // namespace

Trainer::Trainer(Parts parts, Progress progress)
    : parts_(std::move(parts)), progress_(std::move(progress)) {
    if (parts_.scaler == nullptr) return;
    progress_.loss_scale = parts_.scaler->state();
    parts_.micro_step->set_loss_scale(parts_.scaler->state().scale);
}

RunResult Trainer::run(const std::stop_token& stop) {
    if (parts_.previews != nullptr && progress_.step == 0) parts_.previews->at_start();
    started_s_ = step_started_s_ = now_s();
    while (!is_finished()) {
        std::optional<data::Batch> batch = parts_.loader->next();
        if (!batch) break;
        begin_epoch(*batch);
        accumulate(*batch);  // forward and backward
        if (!batch->is_update) continue;
        update(*batch);    // norm, clip, optimizer
        save_due(*batch);  // files and states of this step or epoch
        if (stop.stop_requested() && !is_finished()) cancel();
    }
    return finish();
}

void Trainer::begin_epoch(const data::Batch& batch) {
    if (batch.batch_idx != 0) return;
    parts_.events->on_event(EpochStarted{batch.epoch, parts_.steps.num_epochs});
}

void Trainer::accumulate(data::Batch& batch) {
    parts_.latents->redraw(batch);
    const int64_t micro_step = (batch.epoch - 1) * parts_.steps.num_batches + batch.batch_idx;
    const StepInputs inputs =
        make_step_inputs(batch, parts_.options->loss, parts_.seed, micro_step);
    last_loss_ = with_context(fmt::format("in step {}, epoch {}", progress_.step + 1, batch.epoch),
                              [&] { return parts_.micro_step->run(inputs).loss; });
    // With fp16 it may be out of range; the update is skipped then.
    if (std::isfinite(last_loss_)) progress_.losses.add(batch.batch_idx, last_loss_);
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
    const double multiplier = lr_multiplier(parts_.schedule, updates_done());
    const Rates rates{.text_encoder = parts_.rates.text_encoder * multiplier,
                      .unet = parts_.rates.unet * multiplier};
    const int64_t step = updates_done() + 1;
    const double norm = apply_update(rates);
    if (!std::isfinite(norm) && parts_.scaler == nullptr) {
        throw Error(ErrorCode::kNumeric,
                    fmt::format("the gradient norm is {} in step {}", norm, progress_.step + 1))
            .with_hint(
                "lower the learning rate, or use --mixed_precision no; the last saved state "
                "is untouched");
    }
    if (parts_.options->length.gradient_accumulation_steps > 1) parts_.gradients->fill_zero();
    ++progress_.step;
    const double now = now_s();
    parts_.events->on_event(
        StepDone{.step = progress_.step,
                 .steps = parts_.steps.max_train_steps,
                 .epoch = batch.epoch,
                 .loss = last_loss_,
                 .average_loss = progress_.losses.average(),
                 .lr_unet = parts_.optimizer->effective_rate(step, rates.unet),
                 .lr_text_encoder = parts_.optimizer->effective_rate(step, rates.text_encoder),
                 .d = parts_.optimizer->adapted_distance(),
                 .group_rates = parts_.optimizer->named_rates(rates),
                 .grad_norm = norm,
                 .step_ms = (now - step_started_s_) * 1e3});
}

void Trainer::save_due(const data::Batch& batch) {
    parts_.saver->after_step(progress_, batch.epoch);
    if (parts_.previews != nullptr) parts_.previews->after_step(progress_.step, batch.epoch);
    if (batch.ends_epoch) {
        parts_.saver->after_epoch(progress_, batch.epoch);
        if (parts_.previews != nullptr) parts_.previews->after_epoch(progress_.step, batch.epoch);
    }
    step_started_s_ = now_s();
}

void Trainer::cancel() {
    const std::string path = parts_.saver->save_stopped(progress_);
    parts_.events->on_event(RunEnded{.status = "cancelled",
                                     .step = progress_.step,
                                     .seconds = seconds(),
                                     .average_loss = progress_.losses.average(),
                                     .measured_peak_bytes = 0,
                                     .output_file = {}});
    throw Error(
        ErrorCode::kCancelled,
        fmt::format("stopped after step {} of {}", progress_.step, parts_.steps.max_train_steps))
        .with_hint(fmt::format("go on with --resume \"{}\"", path));
}

RunResult Trainer::finish() {
    RunResult result;
    result.output_file = parts_.saver->save_final(progress_);
    result.steps = progress_.step;
    result.average_loss = progress_.losses.average();
    return result;
}

double Trainer::seconds() const { return now_s() - started_s_; }

}  // namespace lora::train
